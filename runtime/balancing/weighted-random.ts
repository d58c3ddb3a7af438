import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { latestSplices } from "./splices.ts";
import { WeightedDraw } from "./weighted-draw.ts";

/**
 * Weighted random, Dubbo's default: each pick by itself takes an endpoint with probability weight / sum of weights, exactly. Weight 0
 * takes no traffic; with no weight left nothing is picked. Vose's alias method would pick in O(1), and be built anew in O(n) whenever one
 * of the instances changes; here a pick and a change are O(log n).
 */
export const weightedRandom: BalancerPolicy = ({ random }) => {
  const differences = latestSplices();
  const tree = new WeightedDraw({ differences });
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
