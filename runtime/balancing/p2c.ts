import type { Endpoint } from "../discovery/endpoint.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";

/**
 * Power of two choices (Mitzenmacher 2001, https://doi.org/10.1109/71.963420): sample two distinct endpoints uniformly, keep
 * the less loaded. Load is calls in flight from this client per unit of weight, so of two busy endpoints the heavier carries
 * proportionally more; at equal load (both idle) the one sampled first is kept, and then weight doesn't count. Weight 0 takes
 * no traffic; with no weight left nothing is picked. A pick is O(1).
 */
export const powerOfTwoChoices: BalancerPolicy = ({ random }) => {
  return (endpoints) => {
    const pool = eligible(endpoints);
    return {
      pick() {
        if (pool.length < 2) return pool[0];
        const first = random.below(pool.length);
        // Draw from the other n - 1, then step over `first`: two distinct indexes, no loop.
        const draw = random.below(pool.length - 1);
        const second = draw < first ? draw : draw + 1;
        return lessLoaded(pool[first]!, pool[second]!);
      },
    };
  };
};

/** Compares inFlight / weight, multiplied out. */
function lessLoaded(first: Endpoint, second: Endpoint): Endpoint {
  return first.stats.inFlight * second.weight <= second.stats.inFlight * first.weight ? first : second;
}
