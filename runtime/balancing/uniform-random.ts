import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";

/**
 * Uniform random: each pick by itself, every endpoint equally likely, whatever its weight. Weight 0 takes no traffic; with no weight left
 * nothing is picked. Dubbo's `random` goes by weight: that is "weighted-random" here. A pick is O(1).
 */
export const uniformRandom: BalancerPolicy = ({ random }) => {
  const among = eligible();
  return (endpoints) => {
    const pool = among(endpoints);
    return { pick: () => (pool.length < 2 ? pool[0] : pool[random.below(pool.length)]) };
  };
};
