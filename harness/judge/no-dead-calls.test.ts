import { describe, expect, test } from "vitest";

import { at, noDeadCalls } from "../scenario/builders.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf, stepsOf } from "./fixtures.ts";

const check = noDeadCalls("orders").within("2s").detects("1s");
/** orders/1 is dead from 1 s to 6 s: from 3 s on nobody may try it. */
const plan = planOf([check], { timeline: [at("1s").kill("orders/1", { for: "5s" })] });
const tryingAt = (fromUs: number, toUs: number) =>
  calls(960, (index) => {
    const dueUs = Math.floor((index * 8_000_000) / 960);
    return dueUs >= fromUs && dueUs < toUs ? { before: ["orders/1"], to: "orders/2" } : {};
  });

describe("what it counts", () => {
  test("attempts while the instance was dead for too long", () => {
    expect(judgeCheck(plan, historyOf(plan, tryingAt(0, 3_000_000)))).toMatchObject({
      verdict: "pass",
      observed: "0",
      trials: 360,
      falseAlarm: 0,
      message: "none of 360 attempts went to an instance dead for over 2 s",
    });
    expect(judgeCheck(plan, historyOf(plan, tryingAt(3_000_000, 3_100_000)))).toMatchObject({
      verdict: "fail",
      observed: "12, up to 2.09 s",
      brokenAtMs: 3_000,
    });
  });

  test("not when it is back", () => {
    expect(judgeCheck(plan, historyOf(plan, tryingAt(6_000_000, 8_000_000))).verdict).toBe("pass");
  });

  test("a second attempt as well as a first", () => {
    const made = calls(960, (index) => (index === 500 ? { before: ["orders/2"], to: "orders/1" } : { to: "orders/0" }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "fail", trials: 361 });
  });

  test("a stopped instance from when it is gone until it is restarted", () => {
    const stopped = planOf([check], { timeline: [at("1s").stop("orders/1"), at("6s").restart("orders/1")] });
    const verdictOf = (fromUs: number, toUs: number) =>
      judgeCheck(stopped, historyOf(stopped, tryingAt(fromUs, toUs))).verdict;
    // The stop takes 600 ms.
    expect([verdictOf(0, 3_600_000), verdictOf(3_600_000, 3_700_000), verdictOf(6_000_000, 8_000_000)]).toEqual([
      "pass",
      "fail",
      "pass",
    ]);
  });

  test("each attempt once, however many are dead", () => {
    const two = planOf([check], {
      timeline: [at("1s").kill("orders/1", { for: "5s" }), at("1s").kill("orders/2", { for: "5s" })],
    });
    expect(judgeCheck(two, historyOf(two, calls(960)))).toMatchObject({ verdict: "pass", trials: 360 });
  });

  test("an instance that died by itself is dead, too", () => {
    const made = tryingAt(7_000_000, 7_100_000);
    const processes = [{ type: "process", atUs: 500_000, node: "orders/1", state: "exited" }] as const;
    expect(judgeCheck(plan, historyOf(plan, made, { steps: [], processes })).verdict).toBe("fail");
  });

  test("is inconclusive when nothing was tried afterwards, or nobody died", () => {
    const early = calls(960).filter(({ dueUs }) => dueUs < 2_900_000);
    expect(judgeCheck(plan, historyOf(plan, early)).verdict).toBe("inconclusive");
    expect(judgeCheck(plan, historyOf(plan, calls(960), { steps: [] })).verdict).toBe("inconclusive");
  });

  test("a machine that is late by a quarter of the bound excuses it in real time", () => {
    const local = planOf([check], { world: "local", timeline: [at("1s").kill("orders/1", { for: "5s" })] });
    const late = (maxUs: number) =>
      judgeCheck(
        local,
        historyOf(local, tryingAt(3_000_000, 3_100_000), { lags: [{ node: "registry/0", atUs: 2_000_000, maxUs }] }),
      );
    expect(late(500_000)).toMatchObject({ verdict: "fail", falseAlarm: null });
    expect(late(500_001).verdict).toBe("inconclusive");
  });
});

describe("the plan", () => {
  test("refuses a scenario in which nobody dies", () => {
    expect(() => planOf([check])).toThrow(/no instance of orders dies/);
  });

  test("refuses an instance that is back before a breach could be seen", () => {
    const timeline = [at("1s").kill("orders/1", { for: "2s" })];
    expect(() => planOf([check], { timeline })).toThrow(/orders\/1 comes back, or the load ends/);
    const restarted = [at("1s").kill("orders/1"), at("3s").restart("orders/1")];
    expect(() => planOf([check], { timeline: restarted })).toThrow(/orders\/1 comes back/);
  });

  test("weighs the instance: a light one needs more calls to be missed", () => {
    const timeline = [at("1s").kill("orders/1", { for: "5s" })];
    expect(() => planOf([check], { timeline, weights: [100, 10, 100, 100] })).toThrow(/and needs 21\d/);
    expect(() => planOf([check], { timeline, weights: [100, 0, 100, 100] })).toThrow(/needs more than any load has/);
  });
});

test("a fleet that goes on for a second longer is found in 99 of 100 draws", () => {
  const timeline = [at("1s").kill("orders/1", { for: "5s" })];
  const tight = planOf([check], { timeline, rate: "52/s" });
  let found = 0;
  for (let seed = 0; seed < 300; seed++) {
    const made = drawnCalls(tight, seed, (due, random) => {
      const drawn = random.below(due >= 1_000_000 && due < 4_000_000 ? 4 : 3);
      return drawn === 3 ? { before: ["orders/1"] } : { to: `orders/${[0, 2, 3][drawn]!}` };
    });
    const { verdict } = judgeCheck(tight, historyOf(tight, made, { steps: stepsOf(tight) }));
    if (verdict === "fail") found++;
  }
  expect(found).toBeGreaterThanOrEqual(297);
});
