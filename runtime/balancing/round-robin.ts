import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";

/**
 * Plain round-robin: one endpoint after the other in the list's order, whatever their weights. A client begins at random (as gRPC does):
 * otherwise all that start together send their first calls to the first endpoint. A new list is gone on with behind the endpoint that was
 * picked last. Weight 0 takes no traffic; with no weight left nothing is picked. A pick is O(1).
 */
export const roundRobin: BalancerPolicy = ({ random }) => {
  let last: string | undefined;
  let position = -1;
  let current: unknown;
  return (endpoints) => {
    const pool = eligible(endpoints);
    return {
      pick() {
        if (pool.length === 0) return undefined;
        if (last === undefined) position = random.below(pool.length) - 1;
        else if (current !== pool) {
          const index = pool[position]?.key === last ? position : pool.findIndex(({ key }) => key === last);
          // Gone: who stood behind it has moved up to its place.
          position = index >= 0 ? index : position - 1;
        }
        current = pool;
        position = position + 1 < pool.length ? position + 1 : 0;
        const picked = pool[position]!;
        last = picked.key;
        return picked;
      },
    };
  };
};
