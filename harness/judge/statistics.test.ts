import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { createRandom } from "../../runtime/random.ts";
import {
  batchMeans,
  boundedTrialsFor,
  clopperPearson,
  criticalCount,
  differ,
  isTooFew,
  isTooMany,
  kl,
  power,
  quantile,
  trialsFor,
  trialsToSee,
  upperTail,
} from "./statistics.ts";

const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
const size = fc.integer({ min: 1, max: 2_000 });

/** The counts that pass in both directions. */
function window(n: number, p: number, alpha: number): readonly [number, number] {
  let low = 0;
  while (isTooFew(low, n, p, alpha)) low++;
  return [low, criticalCount(n, p, alpha) - 1];
}

describe("the bound of Hoeffding", () => {
  // reference/governance.md 7, the Chernoff-KL windows at 1e-7 (half in each direction).
  test.each([
    [200, 0.01, 0, 14],
    [200, 0.1, 2, 48],
    [200, 0.2, 12, 75],
    [200, 0.5, 60, 140],
    [1_000, 0.01, 0, 33],
    [1_000, 0.1, 50, 159],
    [1_000, 0.2, 131, 276],
    [1_000, 0.5, 409, 591],
    [2_000, 0.01, 1, 50],
    [2_000, 0.1, 127, 282],
    [2_000, 0.2, 300, 506],
    [2_000, 0.5, 871, 1_129],
    [10_000, 0.01, 49, 162],
    [10_000, 0.1, 831, 1_178],
    [10_000, 0.2, 1_772, 2_235],
    [10_000, 0.5, 4_711, 5_289],
  ])("accepts of %i trials with p = %f from %i to %i", (n, p, low, high) => {
    expect(window(n, p, 0.5e-7)).toEqual([low, high]);
  });

  test.each([
    [3, 3_000, 848, 1_156],
    [4, 4_000, 838, 1_168],
    [8, 8_000, 824, 1_186],
  ])("shared among %i equal cells of %i trials it accepts from %i to %i", (cells, n, low, high) => {
    expect(window(n, 1 / cells, 0.5e-7 / cells)).toEqual([low, high]);
  });

  test("never gives more false alarms than it may: the exact tail beyond the critical count is at most alpha", () => {
    fc.assert(
      fc.property(size, share, fc.constantFrom(1e-3, 1e-6, 1e-9), (n, p, alpha) => {
        expect(upperTail(criticalCount(n, p, alpha), n, p)).toBeLessThanOrEqual(alpha);
      }),
    );
  });

  test("is the same in both directions", () => {
    fc.assert(
      fc.property(size, share, fc.nat(2_000), (n, p, count) => {
        fc.pre(count <= n);
        expect(isTooFew(count, n, p, 1e-6)).toBe(isTooMany(n - count, n, 1 - p, 1e-6));
      }),
    );
  });

  test("knows certainty: nothing is allowed of p = 0, anything of p = 1, and nothing follows from no trial", () => {
    expect(isTooMany(1, 1_000_000, 0, 1e-9)).toBe(true);
    expect(isTooMany(0, 1_000, 0, 1e-9)).toBe(false);
    expect(isTooMany(1_000, 1_000, 1, 1e-9)).toBe(false);
    expect(isTooFew(999, 1_000, 1, 1e-9)).toBe(true);
    expect(isTooMany(0, 0, 0, 1e-9) || isTooFew(0, 0, 1, 1e-9)).toBe(false);
    expect(criticalCount(100, 0, 1e-9)).toBe(1);
    expect(criticalCount(5, 0.5, 1e-9)).toBe(6);
  });

  test("measures divergence: zero between equals, infinite where the impossible happened", () => {
    expect(kl(0.3, 0.3)).toBe(0);
    expect(kl(0, 0.5)).toBeCloseTo(Math.LN2, 12);
    expect(kl(0.1, 0)).toBe(Infinity);
    expect(kl(0.9, 1)).toBe(Infinity);
  });
});

describe("two samples", () => {
  /** P(the two are found to differ), by going through every pair of counts. */
  const probability = (nA: number, pA: number, nB: number, pB: number, alpha: number): number => {
    const mass = (n: number, p: number) =>
      Array.from({ length: n + 1 }, (_, k) => upperTail(k, n, p) - upperTail(k + 1, n, p));
    const [a, b] = [mass(nA, pA), mass(nB, pB)];
    let sum = 0;
    for (let i = 0; i <= nA; i++)
      for (let j = 0; j <= nB; j++) if (differ({ count: i, n: nA }, { count: j, n: nB }, alpha)) sum += a[i]! * b[j]!;
    return sum;
  };

  test.each([0.01, 0.1, 0.3, 0.5, 0.9])("of one mean, %d, are found to differ at most as often as alpha says", (p) => {
    for (const alpha of [0.2, 0.05, 0.001]) expect(probability(40, p, 25, p, alpha)).toBeLessThanOrEqual(alpha);
  });

  test("of means that are apart are found to differ", () => {
    expect(probability(40, 0.1, 40, 0.6, 0.05)).toBeGreaterThan(0.9);
    expect(differ({ count: 500, n: 1000 }, { count: 340, n: 1000 }, 1e-9)).toBe(true);
    expect(differ({ count: 500, n: 1000 }, { count: 380, n: 1000 }, 1e-9)).toBe(false);
  });

  test("of which one is empty say nothing", () => {
    expect(differ({ count: 0, n: 0 }, { count: 1000, n: 1000 }, 0.05)).toBe(false);
  });
});

describe("power", () => {
  // reference/governance.md 7: n for the exact test at alpha = beta = 1e-7; the bound here holds without tables and costs a little more.
  test.each([
    [0.1, 0.2, 1_353],
    [0.1, 0.15, 4_774],
    [0.05, 0.1, 2_961],
    [0.2, 0.3, 2_038],
    [0.5, 0.6, 2_715],
  ])("tells %f from %f with few more trials than the exact test's %i", (p, p1, exact) => {
    const needed = trialsFor(p, p1, 0.5e-7, 1e-7);
    expect(needed).toBeGreaterThanOrEqual(exact);
    expect(needed).toBeLessThan(exact * 1.12);
  });

  test("of the trials that are asked for is enough, and stays so for every load that is a little larger", () => {
    const pairs = fc.tuple(share, share).filter(([p, p1]) => p1 - p > 0.03);
    fc.assert(
      fc.property(pairs, fc.nat(200), ([p, p1], more) => {
        const needed = trialsFor(p, p1, 1e-9, 1e-3);
        expect(power(needed + more, p, p1, 1e-9)).toBeGreaterThanOrEqual(0.999);
      }),
    );
  });

  test("is what drawing shows", () => {
    const random = createRandom(1).fork("power");
    const [n, p, p1, alpha] = [300, 0.1, 0.22, 1e-6];
    let found = 0;
    const draws = 2_000;
    for (let draw = 0; draw < draws; draw++) {
      let count = 0;
      for (let trial = 0; trial < n; trial++) if (random.float() < p1) count++;
      if (isTooMany(count, n, p, alpha)) found++;
    }
    const { low, high } = clopperPearson(found, draws, 1e-6);
    expect(power(n, p, p1, alpha)).toBeGreaterThan(low);
    expect(power(n, p, p1, alpha)).toBeLessThan(high);
  });

  test("can't be had for what is allowed", () => {
    expect(trialsFor(0.1, 0.1, 1e-9, 1e-3)).toBe(Infinity);
    expect(boundedTrialsFor(0.5, 0.4, 1e-9, 1e-3)).toBe(Infinity);
  });

  // reference/governance.md 7
  test("sees a leak of 1 % among 1604 trials, of 5 % among 315, of 10 % among 153", () => {
    expect([0.01, 0.05, 0.1].map((leak) => trialsToSee(leak, 1e-7))).toEqual([1_604, 315, 153]);
    expect([trialsToSee(0, 1e-3), trialsToSee(1, 1e-3)]).toEqual([Infinity, 1]);
  });

  test("for variables of any distribution costs more than for yes and no", () => {
    fc.assert(
      fc.property(
        fc.tuple(share, share).filter(([p, p1]) => p1 - p > 0.05),
        ([p, p1]) => {
          expect(boundedTrialsFor(p, p1, 1e-9, 1e-3)).toBeGreaterThanOrEqual(trialsFor(p, p1, 1e-9, 1e-3) * 0.95);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("tails and intervals", () => {
  test("tails are exact", () => {
    expect(upperTail(2, 3, 0.5)).toBeCloseTo(0.5, 14);
    expect(upperTail(10, 10, 0.1)).toBeCloseTo(1e-10, 24);
    expect(upperTail(0, 10, 0.1)).toBe(1);
    expect(upperTail(11, 10, 0.1)).toBe(0);
    // 2^-1000, where factorials and powers are far out of range.
    expect(Math.log2(upperTail(1_000, 1_000, 0.5))).toBeCloseTo(-1_000, 8);
  });

  test("tails and their complements sum to one", () => {
    fc.assert(
      fc.property(size, share, fc.nat(2_000), (n, p, count) => {
        fc.pre(count <= n);
        expect(upperTail(count, n, p) + upperTail(n - count + 1, n, 1 - p)).toBeCloseTo(1, 9);
      }),
    );
  });

  test.each([
    [0, 10, 0.05, 0, 0.3085],
    [5, 10, 0.05, 0.1871, 0.8129],
    [10, 10, 0.05, 0.6915, 1],
    [1, 100, 0.05, 0.000253, 0.0545],
  ])("Clopper and Pearson give for %i of %i at %f: %f to %f", (count, n, alpha, low, high) => {
    const interval = clopperPearson(count, n, alpha);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test("nothing is known of no trial", () => {
    expect(clopperPearson(0, 0, 0.05)).toEqual({ low: 0, high: 1 });
  });

  test("a quantile is the smallest value with so many at or below it", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    for (let percent = 1; percent <= 100; percent++) expect(quantile(hundred, percent / 100)).toBe(percent);
    expect(quantile([], 0.5)).toBe(0);
    expect(quantile([7], 0)).toBe(7);
  });

  test("batch means enclose the mean of dependent values, and refuse too few", () => {
    const random = createRandom(3).fork("batches");
    let value = 0;
    // Each value is half of the one before: an autoregressive process around 10.
    const values = Array.from({ length: 32_000 }, () => 10 + (value = value / 2 + random.float() - 0.5));
    const { mean, low, high } = batchMeans(values);
    expect(low).toBeLessThan(10);
    expect(high).toBeGreaterThan(10);
    expect(high - low).toBeLessThan(0.1);
    expect(mean).toBeCloseTo((low + high) / 2, 12);
    expect(() => batchMeans([1, 2, 3])).toThrow(/too few/);
  });
});
