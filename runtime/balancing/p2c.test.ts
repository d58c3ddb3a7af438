import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, endpoint, isImplausible, pool } from "../fixtures.ts";
import type { Random } from "../ports/random.ts";
import { createRandom } from "../random.ts";
import { powerOfTwoChoices } from "./p2c.ts";

function scripted(...draws: number[]): Random {
  return { below: () => draws.shift()! } as unknown as Random;
}

describe("power of two choices", () => {
  test("never samples the same endpoint twice, so the busiest never wins", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 50 }), fc.nat(), fc.nat(), (size, x, y) => {
        const endpoints = Array.from({ length: size }, (_, i) => endpoint({ id: `orders/${i}`, inFlight: i }));
        const picked = powerOfTwoChoices({ random: scripted(x % size, y % (size - 1)) })(endpoints).pick(call());
        expect(picked!.stats.inFlight).toBeLessThan(size - 1);
      }),
    );
  });

  test("samples every ordered pair equally often", () => {
    const size = 5;
    const pairs = new Set<string>();
    for (let first = 0; first < size; first++) {
      for (let draw = 0; draw < size - 1; draw++) {
        // All idle but the first one sampled: the pick shows who was the second.
        const endpoints = Array.from({ length: size }, (_, i) =>
          endpoint({ id: `orders/${i}`, inFlight: i === first ? 1 : 0 }),
        );
        pairs.add(`${first} ${powerOfTwoChoices({ random: scripted(first, draw) })(endpoints).pick(call())!.id}`);
      }
    }
    expect(pairs.size).toBe(size * (size - 1));
  });

  test("compares calls in flight per weight, and keeps the first of equals", () => {
    const light = endpoint({ id: "orders/0", weight: 50, inFlight: 2 });
    const heavy = endpoint({ id: "orders/1", weight: 100, inFlight: 3 });
    const even = endpoint({ id: "orders/2", weight: 100, inFlight: 4 });
    expect(powerOfTwoChoices({ random: scripted(0, 0) })([light, heavy]).pick(call())).toBe(heavy);
    expect(powerOfTwoChoices({ random: scripted(0, 0) })([light, even]).pick(call())).toBe(light);
    expect(powerOfTwoChoices({ random: scripted(1, 0) })([light, even]).pick(call())).toBe(even);
  });

  test("is uniform over idle endpoints", () => {
    const endpoints = pool(100, 100, 100, 100);
    const picker = powerOfTwoChoices({ random: createRandom(5) })(endpoints);
    const counts = [0, 0, 0, 0];
    for (let trial = 0; trial < 8000; trial++) counts[endpoints.indexOf(picker.pick(call())!)]!++;
    for (const count of counts) expect(isImplausible(count, 8000, 1 / 4)).toBe(false);
  });

  test("keeps the longest of n queues at ln ln n / ln 2, far below random's (Mitzenmacher 2001)", () => {
    const endpoints = pool(...Array.from({ length: 1000 }, () => 1));
    const picker = powerOfTwoChoices({ random: createRandom(6) })(endpoints);
    for (let ball = 0; ball < 1000; ball++) picker.pick(call())!.stats.inFlight++;
    expect(Math.max(...endpoints.map(({ stats }) => stats.inFlight))).toBeLessThanOrEqual(4);
  });

  test("never picks weight 0, and nothing when no weight is left", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 8 }), fc.integer(), (weights, seed) => {
        const endpoints = pool(...weights);
        const picker = powerOfTwoChoices({ random: createRandom(seed) })(endpoints);
        for (let trial = 0; trial < 10; trial++) {
          const picked = picker.pick(call());
          expect(picked === undefined).toBe(weights.every((weight) => weight === 0));
          if (picked !== undefined) {
            expect(endpoints).toContain(picked);
            expect(picked.weight).toBe(1);
          }
        }
      }),
    );
  });
});
