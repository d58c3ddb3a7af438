import type { Endpoint, EndpointStats } from "../discovery/endpoint.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { latestSplices } from "./splices.ts";
import { WeightedDraw, type Leaf } from "./weighted-draw.ts";

/**
 * Least active (Dubbo): the endpoint with the fewest calls in flight from this client; among equals by weighted random. A
 * caller that sends one call after the other therefore sees plain weighted random, however slow an instance is
 * (https://github.com/apache/dubbo/issues/9330), and an instance that fails fast attracts traffic. Weight 0 takes no traffic;
 * with no weight left nothing is picked. A pick is O(log n), and so is a call's begin and end.
 */
export const leastActive: BalancerPolicy = ({ random }) => {
  const leaves = new WeakMap<EndpointStats, Leaf>();
  const differences = latestSplices();
  const tree = new WeightedDraw({
    differences,
    load: ({ stats }) => stats.inFlight,
    // Statistics outlive membership changes, and are listened to once.
    leafOf: (endpoint: Endpoint) => {
      const { stats } = endpoint;
      let leaf = leaves.get(stats);
      if (leaf === undefined) {
        const made: Leaf = { endpoint, slot: -1 };
        leaves.set(stats, (leaf = made));
        stats.watchers.push(() => tree.update(made));
      }
      return leaf;
    },
  });
  const among = eligible(differences);
  return (endpoints) => {
    const pool = among(endpoints);
    return {
      pick() {
        if (pool.length < 2) return pool[0];
        tree.become(pool);
        return tree.draw(random);
      },
    };
  };
};
