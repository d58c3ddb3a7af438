import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { isImplausible } from "../runtime/fixtures.ts";
import { createRandom } from "../runtime/random.ts";
import { meanUs, sample, type Distribution } from "./distribution.ts";

const trials = 40_000;

/** Of that many draws, as many are at most the quantile as its probability says, within a false alarm of 1e-9. */
function expectQuantiles(distribution: Distribution, quantile: (probability: number) => number): void {
  const random = createRandom(99);
  const draws = Array.from({ length: trials }, () => sample(distribution, random));
  for (const probability of [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) {
    const at = quantile(probability);
    const below = draws.filter((draw) => draw <= at).length;
    expect(isImplausible(below, trials, probability), `${distribution.kind} q${probability}`).toBe(false);
    // And it isn't blind: a quantile a fifth off is found.
    if (probability === 0.5) {
      const off = draws.filter((draw) => draw <= at * 1.2).length;
      expect(isImplausible(off, trials, probability)).toBe(true);
    }
  }
}

/** The mean of so many draws is within six standard errors. */
function expectMean(distribution: Distribution, mean: number, sd: number): void {
  const random = createRandom(7);
  let sum = 0;
  for (let trial = 0; trial < trials; trial++) sum += sample(distribution, random);
  expect(Math.abs(sum / trials - mean)).toBeLessThan((6 * sd) / Math.sqrt(trials));
  expect(meanUs(distribution)).toBeCloseTo(mean, 6);
}

describe("a distribution", () => {
  test("constant is itself, in whole microseconds", () => {
    expect(sample({ kind: "constant", us: 1234 }, createRandom(1))).toBe(1234);
    expect(sample({ kind: "constant", us: 0.6 }, createRandom(1))).toBe(1);
  });

  test("uniform has its quantiles and mean", () => {
    const uniform: Distribution = { kind: "uniform", fromUs: 10_000, toUs: 50_000 };
    expectQuantiles(uniform, (p) => 10_000 + 40_000 * p);
    expectMean(uniform, 30_000, 40_000 / Math.sqrt(12));
  });

  test("exponential has its quantiles and mean", () => {
    const exponential: Distribution = { kind: "exponential", meanUs: 100_000 };
    expectQuantiles(exponential, (p) => -100_000 * Math.log(1 - p));
    expectMean(exponential, 100_000, 100_000);
  });

  test("normal has its quantiles and mean, and is cut off at 0", () => {
    const normal: Distribution = { kind: "normal", meanUs: 100_000, sdUs: 20_000 };
    const z = new Map([
      [0.01, -2.3263478740408408],
      [0.1, -1.2815515655446004],
      [0.25, -0.6744897501960817],
      [0.5, 0],
      [0.75, 0.6744897501960817],
      [0.9, 1.2815515655446004],
      [0.99, 2.3263478740408408],
    ]);
    expectQuantiles(normal, (p) => 100_000 + 20_000 * z.get(p)!);
    expectMean(normal, 100_000, 20_000);
    const wide: Distribution = { kind: "normal", meanUs: 0, sdUs: 1000 };
    const random = createRandom(3);
    let zeros = 0;
    for (let trial = 0; trial < trials; trial++) if (sample(wide, random) === 0) zeros++;
    // Half a microsecond of the upper half rounds to 0 as well.
    expect(isImplausible(zeros, trials, 0.5 + 0.5 * 0.0004)).toBe(false);
  });

  test("pareto has its quantiles, its mean where there is one, and never less than its minimum", () => {
    for (const shape of [1.5, 3]) {
      const pareto: Distribution = { kind: "pareto", minUs: 10_000, shape };
      expectQuantiles(pareto, (p) => 10_000 * Math.pow(1 - p, -1 / shape));
    }
    const mean = (10_000 * 3) / 2;
    expectMean({ kind: "pareto", minUs: 10_000, shape: 3 }, mean, mean / Math.sqrt(3));
  });

  test("draws whole microseconds, never negative, the same for a seed", () => {
    const us = fc.nat({ max: 1_000_000 });
    const kinds = fc.oneof(
      fc.record({ kind: fc.constant("constant" as const), us }),
      fc.record({ kind: fc.constant("uniform" as const), fromUs: us, toUs: us }),
      fc.record({ kind: fc.constant("normal" as const), meanUs: us, sdUs: us }),
      fc.record({ kind: fc.constant("exponential" as const), meanUs: us }),
      fc.record({
        kind: fc.constant("pareto" as const),
        minUs: us,
        shape: fc.double({ min: 0.5, max: 5, noNaN: true }),
      }),
    );
    fc.assert(
      fc.property(kinds, fc.integer(), (distribution, seed) => {
        const draw = sample(distribution, createRandom(seed));
        expect(draw).toBeGreaterThanOrEqual(0);
        expect(Number.isInteger(draw)).toBe(true);
        expect(Object.is(draw, -0)).toBe(false);
        expect(sample(distribution, createRandom(seed))).toBe(draw);
        if (distribution.kind === "pareto") expect(draw).toBeGreaterThanOrEqual(distribution.minUs);
      }),
      { numRuns: 500 },
    );
  });
});
