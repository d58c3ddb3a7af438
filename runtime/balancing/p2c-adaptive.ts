import { adaptiveEnabledKey, adaptiveRemainingKey } from "../call/metadata.ts";
import type { EndpointStats } from "../discovery/endpoint.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";

/** What an instance has said of a method: how many more calls of it at a time it would take. */
interface Remaining {
  count: number;
  /** This client's calls in flight there when it said so. */
  inFlight: number;
}

/**
 * Dubbo's adaptive P2C (dubbo-go's `p2c` under the cluster `adaptiveService`): sample two distinct endpoints uniformly, keep the one that
 * has more room left, as the instances themselves report it. Calls ask for a report (`adaptive-service.enabled: 1`); a provider with a
 * concurrency limit answers how much of it is left (`adaptive-service.remaining`), for each method. Who hasn't reported yet is tried: the
 * first drawn, then the second; of equals the second is kept.
 *
 * dubbo-go keeps a report until the next one, so that an instance that hangs looks as free as it last was; here what this client has
 * sent since counts as taken. Weights don't count, but 0 takes no traffic; with no weight left nothing is picked. A pick is O(1).
 */
export const p2cAdaptive: BalancerPolicy = ({ random }) => {
  const reports = new WeakMap<EndpointStats, Map<string, Remaining>>();
  const roomAt = (stats: EndpointStats, method: string): number | undefined => {
    let byMethod = reports.get(stats);
    if (byMethod === undefined) {
      const made = new Map<string, Remaining>();
      reports.set(stats, (byMethod = made));
      listen(stats, made);
    }
    const report = byMethod.get(method);
    return report && report.count - Math.max(0, stats.inFlight - report.inFlight);
  };
  const among = eligible();
  return Object.assign(
    (endpoints: Parameters<ReturnType<BalancerPolicy>>[0]) => {
      const pool = among(endpoints);
      return {
        pick({ method }: { readonly method: string }) {
          if (pool.length < 2) return pool[0];
          const first = random.below(pool.length);
          const draw = random.below(pool.length - 1);
          const [one, other] = [pool[first]!, pool[draw < first ? draw : draw + 1]!];
          const room = roomAt(one.stats, method);
          const otherRoom = roomAt(other.stats, method);
          if (room === undefined) return one;
          return otherRoom === undefined || otherRoom >= room ? other : one;
        },
      };
    },
    { carries: [[adaptiveEnabledKey, "1"]] as const },
  );
};

function listen(stats: EndpointStats, byMethod: Map<string, Remaining>): void {
  stats.observers.push(({ method, trailers }) => {
    const text = trailers.get(adaptiveRemainingKey);
    if (text === undefined || !/^\d{1,9}$/.test(text)) return;
    byMethod.set(method, { count: Number(text), inFlight: stats.inFlight });
  });
}
