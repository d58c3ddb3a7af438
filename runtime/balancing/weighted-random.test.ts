import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, isImplausible, pool } from "../fixtures.ts";
import type { Random } from "../ports/random.ts";
import { createRandom } from "../random.ts";
import { weightedRandom } from "./weighted-random.ts";

/** A die that has been counted: how often each of all equally likely draws picks each endpoint. */
function exactShares(weights: readonly number[]): readonly number[] {
  const endpoints = pool(...weights);
  let draw = 0;
  const picker = weightedRandom({ random: { below: () => draw } as unknown as Random })(endpoints);
  const counts = weights.map(() => 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (draw = 0; draw < total; draw++) counts[endpoints.indexOf(picker.pick(call())!)]!++;
  return counts;
}

describe("weighted random", () => {
  test("gives each endpoint exactly weight / sum of all equally likely draws", () => {
    expect(exactShares([5, 1, 1])).toEqual([5, 1, 1]);
    expect(exactShares([1, 2, 3])).toEqual([1, 2, 3]);
    expect(exactShares([0, 7, 0, 2])).toEqual([0, 7, 0, 2]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 6 }), (weights) => {
        expect(exactShares(weights)).toEqual(weights);
      }),
      { numRuns: 50 },
    );
  });

  test("stays plausible over 20,000 seeded picks, and a weight half as large again wouldn't", () => {
    const weights = [100, 50, 200, 1];
    const endpoints = pool(...weights);
    const picker = weightedRandom({ random: createRandom(20) })(endpoints);
    const counts = new Map(endpoints.map(({ id }) => [id, 0]));
    const trials = 20_000;
    for (let trial = 0; trial < trials; trial++) {
      const { id } = picker.pick(call())!;
      counts.set(id, counts.get(id)! + 1);
    }
    for (const [index, { id }] of endpoints.entries()) {
      expect(isImplausible(counts.get(id)!, trials, weights[index]! / 351)).toBe(false);
    }
    // The negative control: the same numbers judged by a weight of 150 for the first.
    expect(isImplausible(counts.get("orders/0")!, trials, 150 / 401)).toBe(true);
  });

  test("never picks weight 0, and nothing when no weight is left", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }), fc.integer(), (weights, seed) => {
        const endpoints = pool(...weights);
        const picker = weightedRandom({ random: createRandom(seed) })(endpoints);
        for (let trial = 0; trial < 20; trial++) {
          const picked = picker.pick(call());
          if (weights.some((weight) => weight > 0)) {
            expect(endpoints).toContain(picked);
            expect(picked!.weight).toBeGreaterThan(0);
          } else expect(picked).toBeUndefined();
        }
      }),
    );
  });

  test("keeps its shares when the weights add up to more than 2^32", () => {
    const endpoints = pool(...Array.from({ length: 6000 }, () => 1_000_000), 999_999);
    const picker = weightedRandom({ random: createRandom(1) })(endpoints);
    let low = 0;
    for (let trial = 0; trial < 2000; trial++) if (endpoints.indexOf(picker.pick(call())!) < 3000) low++;
    expect(isImplausible(low, 2000, 0.5)).toBe(false);
  });
});
