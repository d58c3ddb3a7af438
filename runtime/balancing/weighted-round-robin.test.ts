import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { metadata } from "../call/metadata.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { call, endpoint, pool, tell } from "../fixtures.ts";
import type { Random } from "../ports/random.ts";
import { ManualClock } from "../testing/clock.ts";
import { orcaKey, readReport, writeReport, type LoadReport } from "./reports/orca.ts";
import type { WeightedRoundRobinSettings } from "./balancer.ts";
import { Reports, staticStride, weightedRoundRobin } from "./weighted-round-robin.ts";

const s = 1_000_000;

/** It has told this, at this second. */
function report(
  at: Endpoint,
  { perSecond = 100, errorsPerSecond = 0, utilization = 0.5 }: Partial<LoadReport>,
  second = 0,
): void {
  tell(at, {
    endUs: second * s,
    trailers: metadata({ [orcaKey]: writeReport({ perSecond, errorsPerSecond, utilization }) }),
  });
}

describe("static stride", () => {
  test("has the golden sequences: weights 1, 2, 3 and 10, 1", () => {
    expect(sequence([21845, 43690, 65535], 18)).toBe("122012122012122012");
    expect(sequence([65535, Math.round(65535 / 10)], 22)).toBe("0000010000000000100000");
  });

  test("in as many turns as there are residues everybody is picked as often as its share says", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 2, maxLength: 5 }), (weights) => {
        const most = Math.max(...weights);
        const shares = weights.map((weight) => ({ share: Math.max(1, Math.round((weight / most) * 0xffff)) }));
        const counts = shares.map(() => 0);
        // In 65,535 generations.
        for (let turn = staticStride(shares, 0); turn < shares.length * 0xffff; turn = staticStride(shares, turn + 1)) {
          counts[turn % shares.length]!++;
        }
        expect(counts).toEqual(shares.map(({ share }) => share));
      }),
      { numRuns: 10 },
    );
  });

  function sequence(weights: readonly number[], picks: number): string {
    const shares = weights.map((share) => ({ share }));
    let turn = -1;
    return Array.from({ length: picks }, () => (turn = staticStride(shares, turn + 1)) % shares.length).join("");
  }
});

describe("weights from reports", () => {
  test("have the golden values: 100/s at 0.5 is 200; with 10 errors a second and penalty 1 166.67", () => {
    expect(weightAfter({}, [[{ utilization: 0.5 }, 0]], 0)).toBeCloseTo(200, 10);
    expect(weightAfter({}, [[{ errorsPerSecond: 10 }, 0]], 0)).toBeCloseTo(166.667, 3);
    expect(weightAfter({ errorUtilizationPenalty: 0 }, [[{ errorsPerSecond: 10 }, 0]], 0)).toBeCloseTo(200, 10);
  });

  test("don't count in the blackout after the first report, nor after they expired, and then anew only after a blackout", () => {
    const settings = { blackoutMs: 10_000, weightExpirationMs: 180_000 };
    const told = [[{}, 1]] as const;
    expect(weightAfter(settings, told, 10.9)).toBe(0);
    expect(weightAfter(settings, told, 11)).toBe(200);
    expect(weightAfter(settings, told, 180.9)).toBe(200);
    expect(weightAfter(settings, told, 181)).toBe(0);
    const reports = new Reports(settings);
    const one = endpoint();
    reports.listen(one.stats);
    report(one, {}, 1);
    expect(reports.weightOf(one.stats, 200 * s)).toBe(0);
    report(one, {}, 200);
    expect(reports.weightOf(one.stats, 209 * s)).toBe(0);
    expect(reports.weightOf(one.stats, 210 * s)).toBe(200);
  });

  test("nothing is learnt from reports without calls or without utilisation, nor from what isn't a report", () => {
    expect(
      weightAfter(
        {},
        [
          [{}, 0],
          [{ perSecond: 0 }, 1],
          [{ utilization: 0 }, 1],
        ],
        1,
      ),
    ).toBe(200);
    for (const text of ["", "AAA", "!", "/////w==", "MQAAAAAAAPj/"]) {
      expect(readReport(metadata({ [orcaKey]: text }))?.perSecond ?? 0).toBe(0);
    }
    fc.assert(fc.property(fc.string(), (text) => void readReport(new Map([[orcaKey, text]]))));
  });

  function weightAfter(
    settings: WeightedRoundRobinSettings,
    told: readonly (readonly [Partial<LoadReport>, number])[],
    second: number,
  ): number {
    const reports = new Reports({ blackoutMs: 0, ...settings });
    const one = endpoint();
    reports.listen(one.stats);
    for (const [what, at] of told) report(one, what, at);
    return reports.weightOf(one.stats, second * s);
  }
});

describe("weighted round-robin", () => {
  const random = { uint32: () => 0 } as unknown as Random;

  test("is plain round-robin while fewer than two weights are known, and goes by them afterwards; who has none gets the mean", async () => {
    const clock = new ManualClock();
    const endpoints = pool(1, 1, 1);
    const picker = weightedRoundRobin({ random }, { weightedRoundRobin: { blackoutMs: 0 } })(endpoints);
    const count = (): readonly number[] => {
      const counts = endpoints.map(() => 0);
      for (let pick = 0; pick < 600; pick++) counts[endpoints.indexOf(picker.pick(call({ clock }))!)]!++;
      return counts;
    };
    expect(count()).toEqual([200, 200, 200]);
    report(endpoints[0]!, { utilization: 0.25 });
    await clock.advance(1 * s);
    expect(count()).toEqual([200, 200, 200]);
    report(endpoints[1]!, { utilization: 0.5 });
    // Taken over once a second.
    expect(count()).toEqual([200, 200, 200]);
    await clock.advance(1 * s);
    // 400 and 200, and 300 for the third.
    for (const [index, expected] of [267, 133, 200].entries()) {
      expect(Math.abs(count()[index]! - expected)).toBeLessThanOrEqual(2);
    }
  });

  test("picks one of the list that has a weight, through any changes of it and any reports", async () => {
    const all = pool(1, 1, 0, 1, 1, 1, 0, 1);
    const step = fc.record({
      mask: fc.nat({ max: 255 }),
      index: fc.nat({ max: 7 }),
      utilization: fc.double({ min: 0, max: 2, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const clock = new ManualClock();
        const balancer = weightedRoundRobin({ random }, { weightedRoundRobin: { blackoutMs: 0 } });
        for (const { mask, index, utilization } of steps) {
          const list = all.filter((_, position) => ((mask >> position) & 1) === 1);
          const usable = list.filter(({ weight }) => weight > 0);
          const picked = balancer(list).pick(call({ clock }));
          if (usable.length === 0) expect(picked).toBeUndefined();
          else expect(usable).toContain(picked);
          report(all[index]!, { utilization }, clock.nowUs() / s);
          await clock.advance(300_000);
        }
      }),
    );
  });
});
