import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { inFlight } from "./load/in-flight.ts";
import type { LoadPolicy } from "./load/load.ts";
import { peakEwma } from "./load/peak-ewma.ts";

/**
 * Power of two choices (Mitzenmacher 2001, https://doi.org/10.1109/71.963420): sample two distinct endpoints uniformly, keep
 * the less loaded. Load counts per unit of weight, so of two busy endpoints the heavier carries proportionally more; at equal load (both
 * idle) the one sampled first is kept, and then weight doesn't count. Weight 0 takes no traffic; with no weight left nothing is
 * picked. A pick is O(1).
 */
export const powerOfTwoChoicesBy =
  (metric: LoadPolicy): BalancerPolicy =>
  ({ random }) => {
    const load = metric();
    const among = eligible();
    return (endpoints) => {
      const pool = among(endpoints);
      return {
        pick({ clock }) {
          if (pool.length < 2) return pool[0];
          const first = random.below(pool.length);
          // Draw from the other n - 1, then step over `first`: two distinct indexes, no loop.
          const draw = random.below(pool.length - 1);
          const [one, other] = [pool[first]!, pool[draw < first ? draw : draw + 1]!];
          const nowUs = clock.nowUs();
          // load / weight, multiplied out.
          return load.of(one, nowUs) * other.weight <= load.of(other, nowUs) * one.weight ? one : other;
        },
      };
    };
  };

/** By calls in flight from this client. */
export const powerOfTwoChoices: BalancerPolicy = powerOfTwoChoicesBy(inFlight);

/** By response time and calls in flight: sees that an instance is slow also when calls are few. */
export const p2cPeakEwma: BalancerPolicy = powerOfTwoChoicesBy(peakEwma);
