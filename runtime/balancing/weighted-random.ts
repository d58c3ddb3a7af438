import type { Random } from "../ports/random.ts";
import type { BalancerPolicy } from "./balancer.ts";
import { eligible } from "./eligible.ts";

/**
 * Weighted random, Dubbo's default: each pick by itself takes an endpoint with probability weight / sum of weights. Weight 0
 * takes no traffic; with no weight left nothing is picked. A picker is built in O(n) by Vose's alias method (1991,
 * https://www.keithschwarz.com/darts-dice-coins/) and picks in O(1).
 */
export const weightedRandom: BalancerPolicy = ({ random }) => {
  return (endpoints) => {
    const pool = eligible(endpoints);
    const draw = alias(pool.map((endpoint) => endpoint.weight));
    return { pick: () => (pool.length < 2 ? pool[0] : pool[draw(random)]) };
  };
};

/** Draws an index with probability weight / sum. Shares are exact: thresholds are integers, like the weights. */
function alias(weights: readonly number[]): (random: Random) => number {
  const size = weights.length;
  const first = weights[0];
  if (weights.every((weight) => weight === first)) return (random) => random.below(size);

  // Columns of height `total`, one per weight: the column's own index below `height`, the alias's above it.
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const height = weights.map((weight) => weight * size);
  const other = new Array<number>(size).fill(0);
  const short: number[] = [];
  const tall: number[] = [];
  for (let index = 0; index < size; index++) (height[index]! < total ? short : tall).push(index);
  while (short.length > 0) {
    const low = short.pop()!;
    // Integers add up: while a column is too short, another one is too tall.
    const high = tall.at(-1)!;
    other[low] = high;
    height[high]! -= total - height[low]!;
    if (height[high]! < total) short.push(tall.pop()!);
  }
  return (random) => {
    const column = random.below(size);
    return below(random, total) < height[column]! ? column : other[column]!;
  };
}

/** `Random.below` for sums of weights, which may exceed 2^32. */
export function below(random: Random, bound: number): number {
  return bound <= 0x100000000 ? random.below(bound) : Math.floor(random.float() * bound);
}
