import type { BalancerPolicy } from "./balancer.ts";
import { leastActive } from "./least-active.ts";
import { powerOfTwoChoices } from "./p2c.ts";
import { smoothWeightedRoundRobin } from "./smooth-weighted-round-robin.ts";
import { weightedRandom } from "./weighted-random.ts";

/** The built-in balancers by name. */
export const balancers: Readonly<Record<string, BalancerPolicy>> = {
  "weighted-random": weightedRandom,
  "smooth-weighted-round-robin": smoothWeightedRoundRobin,
  "least-active": leastActive,
  p2c: powerOfTwoChoices,
};
