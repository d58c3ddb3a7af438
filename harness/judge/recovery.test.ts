import { describe, expect, test } from "vitest";

import { recovery } from "../scenario/builders.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf, type CallSketch } from "./fixtures.ts";
import { recoveryTimeUs } from "./recovery.ts";

const check = recovery("orders").after("4s").within("500ms").atLeast("99%").p99Below("150ms").detects("1s");
const plan = planOf([check]);
const spec = plan.checks[0]!.check as Extract<CheckSpec, { check: "recovery" }>;

/** Calls that are bad from `fromUs` to `toUs`. */
const badFrom = (fromUs: number, toUs: number, bad: Partial<CallSketch> = { code: "UNAVAILABLE" }) =>
  calls(960, (index) => {
    const dueUs = Math.floor((index * 8_000_000) / 960);
    return dueUs >= fromUs && dueUs < toUs ? bad : {};
  });
const judged = (made: ReturnType<typeof calls>, more = {}) => judgeCheck(plan, historyOf(plan, made, more));

describe("what it counts", () => {
  test("passes a service that was never unwell", () => {
    expect(judged(calls(960))).toMatchObject({
      verdict: "pass",
      phase: "recovery",
      observed: "at once",
      bound: "within 500 ms",
      trials: 420,
      message: "orders was well from 4 s on",
    });
  });

  test("passes one that is well in time, however bad it was before", () => {
    expect(judged(badFrom(1_000_000, 4_450_000))).toMatchObject({ verdict: "pass", observed: "442 ms" });
  });

  test.each([
    ["fails", { code: "UNAVAILABLE" as const }],
    ["is slow", { tookUs: 150_001 }],
  ])("fails one that still %s a second later, and says until when", (_name, bad) => {
    const result = judged(badFrom(3_000_000, 5_500_000, bad));
    expect(result).toMatchObject({ verdict: "fail", observed: "1.49 s", brokenAtMs: 4_500 });
    expect(result.message).toBe("orders was still unwell 1.49 s after 4 s");
  });

  test("fails a relapse at the very end, where no whole stretch begins", () => {
    expect(judged(badFrom(7_500_000, 8_000_000))).toMatchObject({ verdict: "fail", observed: "never" });
  });

  test("a few bad calls late are no relapse, and it says so", () => {
    const result = judged(badFrom(6_000_000, 6_060_000));
    expect(result).toMatchObject({ verdict: "pass", observed: "2.06 s" });
    expect(result.message).toMatch(/too few in any 1 s to say that it was unwell/);
  });

  test("is inconclusive where a stretch has no calls, or their ends are unknown", () => {
    expect(judged(calls(960).filter(({ dueUs }) => dueUs < 5_000_000)).verdict).toBe("inconclusive");
    expect(judged(badFrom(4_500_000, 6_000_000, { code: "unknown" })).verdict).toBe("inconclusive");
    expect(judged([])).toMatchObject({ verdict: "inconclusive", trials: 0 });
  });

  test("a machine that is late excuses slow calls as well as a slow recovery", () => {
    const local = planOf([check], { world: "local" });
    const late = (maxUs: number) =>
      judgeCheck(
        local,
        historyOf(local, badFrom(4_000_000, 6_000_000), { lags: [{ node: "harness", atUs: 5_000_000, maxUs }] }),
      ).verdict;
    // A quarter of 150 ms, which is shorter than 500 ms.
    expect([late(37_500), late(37_501)]).toEqual(["fail", "inconclusive"]);
  });
});

describe("the recovery time", () => {
  const timeOf = (made: ReturnType<typeof calls>): number => recoveryTimeUs(historyOf(plan, made), spec);

  test("ends with the last bad call", () => {
    expect(timeOf(badFrom(2_000_000, 4_900_000))).toBe(891_666);
  });

  test("is the same in whatever order the calls were sent", () => {
    const made = badFrom(3_900_000, 4_750_000);
    const times = [made, made.toReversed()].map((own) => recoveryTimeUs(historyOf(plan, own), spec));
    expect(times[1]).toBe(times[0]);
  });

  test("is nothing when nothing was bad, and one straggler is nothing", () => {
    expect(timeOf(badFrom(1_000_000, 4_000_000))).toBe(0);
    expect(timeOf(badFrom(6_000_000, 6_008_000))).toBe(0);
  });

  test("is infinite when it lasts to the end", () => {
    expect(timeOf(badFrom(2_000_000, 8_000_000))).toBe(Infinity);
  });
});

describe("the plan", () => {
  test("refuses a load that ends before a stretch after the bound", () => {
    const late = recovery("orders").after("7s").within("500ms").atLeast("99%").detects("1s");
    expect(() => planOf([late])).toThrow(/the load ends before one stretch of 1s/);
  });

  test("refuses a percentile without a bound", () => {
    expect(() => planOf([{ ...spec, atMost: undefined }])).toThrow(/percentile without a bound/);
  });

  test("refuses stretches with too few calls, for which only a higher rate helps", () => {
    expect(() => planOf([check], { rate: "20/s" })).toThrow(
      /"orders recovers within 500 ms of 4 s" can count on 3 trials/,
    );
  });
});

describe("errors of the check itself", () => {
  const draw = (seed: number, make: (dueUs: number, random: { float(): number }) => Partial<CallSketch>, own = plan) =>
    judgeCheck(own, historyOf(own, drawnCalls(own, seed, make))).verdict;
  const tight = planOf([check], { rate: "84/s" });

  test("a service that is as bad as it may be never fails, in 1000 draws", () => {
    for (let seed = 0; seed < 1_000; seed++) {
      const verdict = draw(seed, (_due, random) => (random.float() < 0.02 ? { code: "INTERNAL" } : {}), tight);
      expect(verdict, `seed ${seed}`).toBe("pass");
    }
  });

  test("half of the calls bad for a second longer are found in 99 of 100 draws", () => {
    let found = 0;
    for (let seed = 0; seed < 300; seed++) {
      const verdict = draw(
        seed,
        (due, random) => (due < 5_500_000 && random.float() < 0.5 ? { tookUs: 200_000 } : {}),
        tight,
      );
      if (verdict === "fail") found++;
    }
    expect(found).toBeGreaterThanOrEqual(297);
  });
});
