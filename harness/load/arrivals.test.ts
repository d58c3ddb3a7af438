import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { createRandom } from "../../runtime/random.ts";
import { constantArrivals, lengthUs, poissonArrivals, type Leg } from "./arrivals.ts";

const legs = fc.array(
  fc.record({
    fromPerSecond: fc.double({ min: 0, max: 2_000, noNaN: true }),
    toPerSecond: fc.double({ min: 0, max: 2_000, noNaN: true }),
    lengthUs: fc.integer({ min: 1, max: 3_000_000 }),
  }),
  { minLength: 1, maxLength: 4 },
);

const expectedCalls = (all: readonly Leg[]): number =>
  all.reduce((sum, leg) => sum + (((leg.fromPerSecond + leg.toPerSecond) / 2) * leg.lengthUs) / 1e6, 0);

function expectDueTimes(due: readonly number[], all: readonly Leg[]): void {
  const endUs = lengthUs(all);
  let last = 0;
  for (const at of due) {
    if (!(Number.isInteger(at) && at >= last && at < endUs)) throw new Error(`${at} after ${last}, before ${endUs}`);
    last = at;
  }
}

describe("constant arrivals", () => {
  test("are whole, ascending, within the load, and as many as the rate says", () => {
    fc.assert(
      fc.property(legs, fc.integer({ min: 1, max: 5 }), (all, instances) => {
        const dealt = constantArrivals(all, instances);
        for (const due of dealt) expectDueTimes(due, all);
        const count = dealt.reduce((sum, due) => sum + due.length, 0);
        expect(Math.abs(count - expectedCalls(all))).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("come at even intervals, dealt to the instances in turn", () => {
    const second: Leg = { fromPerSecond: 8, toPerSecond: 8, lengthUs: 1_000_000 };
    expect(constantArrivals([second], 2)).toEqual([
      [0, 250_000, 500_000, 750_000],
      [125_000, 375_000, 625_000, 875_000],
    ]);
  });

  test("get closer together along a ramp, whose calls are those of its mean rate", () => {
    const [due] = constantArrivals([{ fromPerSecond: 0, toPerSecond: 100, lengthUs: 2_000_000 }], 1);
    expect(due).toHaveLength(100);
    // Half of the time has a quarter of the calls.
    expect(due!.filter((at) => at < 1_000_000)).toHaveLength(25);
  });

  test("a rate of 0 makes no calls", () => {
    expect(constantArrivals([{ fromPerSecond: 0, toPerSecond: 0, lengthUs: 1_000_000 }], 1)).toEqual([[]]);
  });
});

describe("Poisson arrivals", () => {
  test("are whole, ascending and within the load", () => {
    fc.assert(
      fc.property(legs, fc.integer(), (all, seed) => expectDueTimes(poissonArrivals(all, 1, createRandom(seed)), all)),
    );
  });

  test("are as many as the rate says, with the variance of a Poisson count, on a ramp as well", () => {
    const all: Leg[] = [
      { fromPerSecond: 20, toPerSecond: 20, lengthUs: 1_000_000 },
      { fromPerSecond: 20, toPerSecond: 60, lengthUs: 2_000_000 },
    ];
    const root = createRandom(1);
    const counts = Array.from({ length: 2_000 }, (_, run) => poissonArrivals(all, 0.5, root.fork(`${run}`)).length);
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length;
    // 50 expected, so the mean's standard error is 0.16 and the variance's 1.6: five of each.
    expect(Math.abs(mean - 50)).toBeLessThan(0.8);
    expect(Math.abs(variance - 50)).toBeLessThan(8);
  });

  test("follow a ramp: arrivals in its first half are a quarter when it starts at 0", () => {
    const all: Leg[] = [{ fromPerSecond: 0, toPerSecond: 20_000, lengthUs: 2_000_000 }];
    const due = poissonArrivals(all, 1, createRandom(3));
    const early = due.filter((at) => at < 1_000_000).length;
    expect(Math.abs(early / due.length - 0.25)).toBeLessThan(0.02);
  });

  test("come from one stream: the same seed gives the same calls", () => {
    const all: Leg[] = [{ fromPerSecond: 500, toPerSecond: 500, lengthUs: 1_000_000 }];
    expect(poissonArrivals(all, 1, createRandom(7))).toEqual(poissonArrivals(all, 1, createRandom(7)));
    expect(poissonArrivals(all, 1, createRandom(7))).not.toEqual(poissonArrivals(all, 1, createRandom(8)));
  });
});
