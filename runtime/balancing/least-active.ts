import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";
import { below } from "./weighted-random.ts";

/**
 * Least active (Dubbo): the endpoint with the fewest calls in flight from this client; among equals by weighted random. A
 * caller that sends one call after the other therefore sees plain weighted random, however slow an instance is
 * (https://github.com/apache/dubbo/issues/9330), and an instance that fails fast attracts traffic. Weight 0 takes no traffic;
 * with no weight left nothing is picked. A pick is O(n).
 */
export const leastActive: BalancerPolicy = ({ random }) => {
  return (endpoints) => {
    const pool = eligible(endpoints);
    return {
      pick() {
        let fewest = Infinity;
        let weight = 0;
        let first = -1;
        let ties = 0;
        for (let index = 0; index < pool.length; index++) {
          const endpoint = pool[index]!;
          const { inFlight } = endpoint.stats;
          if (inFlight > fewest) continue;
          if (inFlight < fewest) {
            fewest = inFlight;
            weight = 0;
            first = index;
            ties = 0;
          }
          weight += endpoint.weight;
          ties++;
        }
        if (ties < 2) return pool[first];
        let draw = below(random, weight);
        for (let index = first; ; index++) {
          const endpoint = pool[index]!;
          if (endpoint.stats.inFlight !== fewest) continue;
          draw -= endpoint.weight;
          if (draw < 0) return endpoint;
        }
      },
    };
  };
};
