import type { Endpoint } from "../discovery/endpoint.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { latestSplices, type splices } from "./splices.ts";

/**
 * Plain round-robin: one endpoint after the other in the list's order, whatever their weights. A client begins at random (as gRPC does):
 * otherwise all that start together send their first calls to the first endpoint. A new list is gone on with behind the endpoint that was
 * picked last. Weight 0 takes no traffic; with no weight left nothing is picked. A pick is O(1).
 */
export const roundRobin: BalancerPolicy = ({ random }) => {
  let position = -1;
  let current: readonly Endpoint[] = [];
  const differences = latestSplices();
  const among = eligible(differences);
  return (endpoints) => {
    const pool = among(endpoints);
    return {
      pick() {
        if (pool.length === 0) return undefined;
        if (current.length === 0) position = random.below(pool.length) - 1;
        else if (current !== pool) position = positionIn(pool, current, position, differences);
        current = pool;
        position = position + 1 < pool.length ? position + 1 : 0;
        return pool[position]!;
      },
    };
  };
};

/** Where the endpoint at `position` of `before` stands in `after`; where it is gone, the place before the one that moved up to its own. */
function positionIn(
  after: readonly Endpoint[],
  before: readonly Endpoint[],
  position: number,
  differences: typeof splices,
): number {
  const { key } = before[position]!;
  let shift = 0;
  for (const { at, removed, added } of differences(before, after)) {
    const begin = at - shift;
    if (position < begin) break;
    if (position < begin + removed) {
      // Its identity may be there as another object, of another weight.
      for (let index = at; index < at + added; index++) if (after[index]!.key === key) return index;
      return at + Math.min(position - begin, added) - 1;
    }
    shift += added - removed;
  }
  return position + shift;
}
