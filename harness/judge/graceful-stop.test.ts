import { describe, expect, test } from "vitest";

import { at, gracefulStop } from "../scenario/builders.ts";
import { call, calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const check = gracefulStop("orders", "orders/1").detects("8%");
/** orders/1 is told to stop at 2 s, gone at 2.6 s, watched until 3.6 s. */
const plan = planOf([check], { timeline: [at("2s").stop("orders/1")] });
const failingAt = (...dueUs: readonly number[]) => [
  ...calls(960),
  ...dueUs.map((us) => call({ dueUs: us, code: "UNAVAILABLE" })),
];
const judged = (made: ReturnType<typeof calls>, more = {}) => judgeCheck(plan, historyOf(plan, made, more));

describe("what it counts", () => {
  test("calls from the order until a second after the node is gone", () => {
    expect(judged(calls(960))).toMatchObject({ verdict: "pass", observed: "0 of 192", bound: "0 fail", falseAlarm: 0 });
    expect(judged(failingAt(2_000_000))).toMatchObject({
      verdict: "fail",
      observed: "1 of 193",
      message: "1 of 193 calls of orders failed while orders/1 stopped; the first: UNAVAILABLE it is a test",
    });
    expect(judged(failingAt(3_599_999)).verdict).toBe("fail");
    expect(judged(failingAt(1_990_000, 3_600_000)).verdict).toBe("pass");
  });

  test("calls that were under way when the order came: those a hasty node cuts off", () => {
    const cutOff = call({ dueUs: 1_990_000, tookUs: 15_000, code: "UNAVAILABLE" });
    expect(judged([...calls(960), cutOff]).verdict).toBe("fail");
  });

  test("calls of unknown end leave it open", () => {
    expect(judged([...calls(960), call({ dueUs: 2_500_000, code: "unknown" })]).verdict).toBe("inconclusive");
    expect(judged([...calls(960), call({ dueUs: 5_000_000, code: "unknown" })]).verdict).toBe("pass");
  });

  test("a node that never got away is watched to the end", () => {
    const steps = historyOf(plan, []).steps.filter(({ phase }) => phase === "apply");
    expect(judgeCheck(plan, historyOf(plan, failingAt(7_500_000), { steps })).verdict).toBe("fail");
  });

  test("every stop of every instance of a service", () => {
    const both = planOf([gracefulStop("orders", "orders").detects("8%")], {
      timeline: [at("1s").stop("orders/1"), at("5s").restart("orders/2")],
    });
    expect(judgeCheck(both, historyOf(both, failingAt(5_100_000)))).toMatchObject({
      verdict: "fail",
      observed: "1 of 385",
    });
  });

  test("is inconclusive when no call was around", () => {
    expect(judged(calls(960).filter(({ dueUs }) => dueUs < 1_000_000)).verdict).toBe("inconclusive");
    expect(judgeCheck(plan, historyOf(plan, calls(960), { steps: [] })).verdict).toBe("inconclusive");
  });
});

describe("the plan", () => {
  test("refuses a scenario in which nothing is stopped", () => {
    expect(() => planOf([check])).toThrow(/nothing stops orders\/1 gracefully/);
  });

  test("counts overlapping stops once", () => {
    const timeline = [at("2s").stop("orders/1"), at("2500ms").stop("orders/2")];
    const both = planOf([gracefulStop("orders", "orders").detects("8%")], { timeline });
    expect(both.checks[0]!.expectedTrials).toBe(240);
  });

  test("refuses what no number of calls could show, and asks for one call at least", () => {
    const timeline = [at("2s").stop("orders/1")];
    expect(() => planOf([gracefulStop("orders", "orders/1").detects("0%")], { timeline })).toThrow(
      /more than any load/,
    );
    expect(() => planOf([gracefulStop("orders", "orders/1").detects("100%")], { timeline, rate: "1/s" })).toThrow(
      /can count on 0 trials, and needs 1/,
    );
  });
});

test("what it detects it finds in 99 of 100 draws", () => {
  const tight = planOf([check], { timeline: [at("2s").stop("orders/1")], rate: "90/s" });
  let found = 0;
  for (let seed = 0; seed < 300; seed++) {
    const made = drawnCalls(tight, seed, (_due, random) => (random.float() < 0.08 ? { code: "UNAVAILABLE" } : {}));
    if (judgeCheck(tight, historyOf(tight, made)).verdict === "fail") found++;
  }
  expect(found).toBeGreaterThanOrEqual(297);
});
