import { describe, expect, test } from "vitest";

import { createRandom } from "../../runtime/random.ts";
import { Sprt } from "./sprt.ts";

const settings = (acceptable: number, unacceptable: number) => ({ acceptable, unacceptable, alpha: 1e-7, beta: 1e-3 });

/** Calls until a decision, and what it was. */
function decided(test: Sprt, rate: number, seed: number): { readonly calls: number; readonly found: "good" | "bad" } {
  const random = createRandom(seed);
  for (let calls = 1; ; calls++) {
    const found = test.observe(random.float() < rate);
    if (found !== undefined) return { calls, found };
  }
}

function meanCalls(acceptable: number, unacceptable: number, rate: number): number {
  const runs = 400;
  let sum = 0;
  for (let seed = 1; seed <= runs; seed++)
    sum += decided(new Sprt(settings(acceptable, unacceptable)), rate, seed).calls;
  return sum / runs;
}

describe("the sequential test", () => {
  test("has Wald's bounds", () => {
    const { badAt, goodAt } = new Sprt(settings(0.1, 0.2));
    expect(badAt).toBeCloseTo(16.12, 2);
    expect(goodAt).toBeCloseTo(-6.91, 2);
  });

  // Expected samples, good and bad (Wald's formula; simulated 190 and 366 for the first).
  test.each([
    [0.1, 0.2, 188, 362],
    [0.05, 0.1, 413, 779],
    [0.01, 0.05, 279, 390],
  ])("of %d against %d takes about %d calls when good, %d when bad", (acceptable, unacceptable, good, bad) => {
    for (const [rate, expected] of [
      [acceptable, good],
      [unacceptable, bad],
    ] as const) {
      const mean = meanCalls(acceptable, unacceptable, rate);
      expect(mean).toBeGreaterThan(expected * 0.9);
      expect(mean).toBeLessThan(expected * 1.15);
    }
  });

  test("condemns nothing that is fine, and passes nothing that is bad", () => {
    for (let seed = 1; seed <= 2000; seed++) {
      expect(decided(new Sprt(settings(0.01, 0.1)), 0.01, seed).found).toBe("good");
      expect(decided(new Sprt(settings(0.01, 0.1)), 0.4, seed).found).toBe("bad");
    }
  });

  test("knows how many failures are enough", () => {
    for (const calls of [10, 100, 500]) {
      const needed = new Sprt(settings(0.01, 0.1)).failuresNeeded(calls);
      const replay = (failures: number): boolean => {
        const sprt = new Sprt({ ...settings(0.01, 0.1), beta: 1e-12 });
        // The successes first: the hardest order.
        for (let call = 0; call < calls - failures; call++) sprt.observe(false);
        let found: string | undefined;
        for (let call = 0; call < failures; call++) found = sprt.observe(true) ?? found;
        return found === "bad" || sprt.score >= new Sprt(settings(0.01, 0.1)).badAt;
      };
      if (needed <= calls) expect(replay(needed)).toBe(true);
      expect(replay(needed - 1)).toBe(false);
    }
  });
});
