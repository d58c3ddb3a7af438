import type { BalancerPolicy } from "./balancer.ts";
import { consistentHash, consistentHashBounded } from "./consistent-hash.ts";
import { jumpHash } from "./jump-hash.ts";
import { leastActive } from "./least-active.ts";
import { p2cAdaptive } from "./p2c-adaptive.ts";
import { p2cPeakEwma, powerOfTwoChoices } from "./p2c.ts";
import { uniformRandom } from "./uniform-random.ts";
import { roundRobin } from "./round-robin.ts";
import { smoothWeightedRoundRobin } from "./smooth-weighted-round-robin.ts";
import { weightedRandom } from "./weighted-random.ts";
import { weightedRoundRobin } from "./weighted-round-robin.ts";

/** The built-in balancers by name. */
export const balancers: Readonly<Record<string, BalancerPolicy>> = {
  "weighted-random": weightedRandom,
  "uniform-random": uniformRandom,
  "round-robin": roundRobin,
  "smooth-weighted-round-robin": smoothWeightedRoundRobin,
  "least-active": leastActive,
  p2c: powerOfTwoChoices,
  "p2c-peak-ewma": p2cPeakEwma,
  "p2c-adaptive": p2cAdaptive,
  "weighted-round-robin": weightedRoundRobin,
  "consistent-hash": consistentHash,
  "consistent-hash-bounded": consistentHashBounded,
  "jump-hash": jumpHash,
};

/** Dubbo's names of balancers that have another name here. */
export const dubboBalancers: Readonly<Record<string, string>> = {
  random: "weighted-random",
  aliasmethod: "weighted-random",
  roundrobin: "smooth-weighted-round-robin",
  interleavedweightedroundrobin: "smooth-weighted-round-robin",
  leastactive: "least-active",
  adaptive: "p2c-adaptive",
  consistenthash: "consistent-hash",
  consistenthashing: "consistent-hash",
};

/** A balancer's own name, where it is called by Dubbo's. */
export const balancerNamed = (name: string): string =>
  Object.hasOwn(dubboBalancers, name) ? dubboBalancers[name]! : name;
