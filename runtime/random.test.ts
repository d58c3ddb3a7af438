import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { isImplausible } from "./fixtures.ts";
import { createRandom } from "./random.ts";

const seeds = fc.integer();
const take = (count: number, draw: () => number): readonly number[] => Array.from({ length: count }, draw);

describe("random", () => {
  test("explains a run by its seed: this one is pinned", () => {
    const random = createRandom(1);
    expect(take(5, () => random.uint32())).toMatchInlineSnapshot(`
      [
        393288148,
        2174103013,
        3814759091,
        2092745082,
        1865176206,
      ]
    `);
    expect(take(3, () => random.float())).toMatchInlineSnapshot(`
      [
        0.5073778237907571,
        0.6655121827883262,
        0.7905753548413333,
      ]
    `);
    const load = random.fork("load");
    expect(take(3, () => load.below(1000))).toMatchInlineSnapshot(`
      [
        545,
        300,
        211,
      ]
    `);
  });

  test("repeats itself for a seed, and differs for another", () => {
    fc.assert(
      fc.property(seeds, seeds, (a, b) => {
        const draws = (seed: number): readonly number[] => {
          const random = createRandom(seed);
          return take(8, () => random.uint32());
        };
        expect(draws(a)).toEqual(draws(a));
        if (a !== b) expect(draws(a)).not.toEqual(draws(b));
      }),
    );
  });

  test("a fork depends on seed and label alone: drawing from one stream never moves another", () => {
    fc.assert(
      fc.property(seeds, fc.string(), fc.string(), fc.nat({ max: 50 }), (seed, label, other, drawn) => {
        const quiet = createRandom(seed).fork(label);
        const root = createRandom(seed);
        const disturbed = root.fork(label);
        const expected = take(5, () => quiet.uint32());
        const sibling = root.fork(other);
        for (let draw = 0; draw < drawn; draw++) {
          root.uint32();
          sibling.below(7);
        }
        expect(take(5, () => disturbed.uint32())).toEqual(expected);
        // Nor does it matter when the fork is made.
        const late = root.fork(label);
        expect(take(5, () => late.uint32())).toEqual(expected);
      }),
    );
  });

  test("forks with different labels, and forks of forks, are different streams", () => {
    const root = createRandom(7);
    const labels = Array.from({ length: 2000 }, (_, index) => `node ${index}`);
    const first = new Set(labels.map((label) => `${root.fork(label).uint32()} ${root.fork(label).fork("x").uint32()}`));
    expect(first.size).toBe(labels.length);
    const [a, b] = [root.fork("a").fork("b"), root.fork("b").fork("a")];
    expect(take(4, () => a.uint32())).not.toEqual(take(4, () => b.uint32()));
  });

  test("neighbouring seeds and labels don't agree more often than chance", () => {
    let agreements = 0;
    const trials = 40_000;
    for (let trial = 0; trial < trials; trial++) {
      const one = createRandom(trial).fork(`call ${trial}`);
      const two = createRandom(trial).fork(`call ${trial + 1}`);
      const three = createRandom(trial + 1).fork(`call ${trial}`);
      const draw = one.below(10);
      if (draw === two.below(10)) agreements++;
      if (draw === three.below(10)) agreements++;
    }
    expect(isImplausible(agreements, 2 * trials, 0.1)).toBe(false);
  });

  test("below is uniform for bounds that don't divide 2^32, and never reaches the bound", () => {
    for (const bound of [2, 3, 7, 10, 1000]) {
      const random = createRandom(bound);
      const counts = new Array<number>(bound).fill(0);
      const trials = 40_000;
      for (let trial = 0; trial < trials; trial++) counts[random.below(bound)]!++;
      for (const count of counts) expect(isImplausible(count, trials, 1 / bound)).toBe(false);
    }
    // A modulo of 3·2^30 would give the lowest third of the range half of all draws.
    const random = createRandom(3);
    let low = 0;
    for (let trial = 0; trial < 10_000; trial++) if (random.below(3 * 2 ** 30) < 2 ** 30) low++;
    expect(isImplausible(low, 10_000, 1 / 3)).toBe(false);
    expect(isImplausible(low, 10_000, 1 / 2)).toBe(true);
  });

  test("below takes bounds from 1 to 2^32 and no other", () => {
    const random = createRandom(1);
    expect(random.below(1)).toBe(0);
    expect(random.below(2 ** 32)).toBeGreaterThanOrEqual(0);
    for (const bound of [0, -1, 2 ** 32 + 1, NaN]) expect(() => random.below(bound)).toThrow(RangeError);
  });

  test("every bit is set half of the time, also of floats' last ones", () => {
    const random = createRandom(11);
    const trials = 10_000;
    const set = new Array<number>(32 + 53).fill(0);
    for (let trial = 0; trial < trials; trial++) {
      const draw = random.uint32();
      for (let bit = 0; bit < 32; bit++) if ((draw >>> bit) & 1) set[bit]!++;
      const mantissa = BigInt(random.float() * 2 ** 53);
      for (let bit = 0; bit < 53; bit++) if ((mantissa >> BigInt(bit)) & 1n) set[32 + bit]!++;
    }
    for (const count of set) expect(isImplausible(count, trials, 0.5)).toBe(false);
  });

  test("floats are in [0, 1) and evenly spread, also in pairs", () => {
    const random = createRandom(12);
    const cells = new Array<number>(100).fill(0);
    const trials = 50_000;
    for (let trial = 0; trial < trials; trial++) {
      const [x, y] = [random.float(), random.float()];
      expect(x >= 0 && x < 1).toBe(true);
      cells[Math.floor(x * 10) * 10 + Math.floor(y * 10)]!++;
    }
    for (const count of cells) expect(isImplausible(count, trials, 0.01)).toBe(false);
  });

  test("no seed leaves the generator stuck", () => {
    fc.assert(
      fc.property(seeds, fc.string(), (seed, label) => {
        const random = createRandom(seed).fork(label);
        expect(new Set(take(20, () => random.uint32())).size).toBeGreaterThan(18);
      }),
    );
  });
});
