import { describe, expect, test } from "vitest";

import { attemptsPerCall } from "../scenario/builders.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const plan = planOf([attemptsPerCall("orders").atMost(1.25).detects(1.6)]);
const once = ["orders/1"];
const twice = ["orders/1", "orders/2"];

describe("what it counts", () => {
  test("the mean of all attempts, rounded up", () => {
    const made = calls(960, (index) => (index % 9 === 0 ? { before: once } : {}));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "pass",
      observed: "1.112",
      message: "960 calls of orders took 1067 attempts",
    });
  });

  test("fails when too many calls need several", () => {
    const made = calls(960, (index) => (index % 2 === 1 ? { before: twice } : {}));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "fail", observed: "2", brokenAtMs: 8 });
  });

  test("a call with more attempts than its caller's settings allow is a defect by itself", () => {
    const made = calls(960, (index) => (index === 48 ? { before: Array.from({ length: 50 }, () => "orders/1") } : {}));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "fail",
      message: "960 calls of orders took 1010 attempts; 1 took more than the 3 that its callers' settings allow",
      brokenAtMs: 400,
    });
  });

  test("a call that found no instance took none", () => {
    const made = calls(960).map((call) => ({ ...call, attempts: [] }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "pass", observed: "1" });
  });

  test("calls of unknown end may have taken all that they were allowed", () => {
    const some = calls(960, (index) => (index % 4 === 0 ? { code: "unknown" } : {}));
    expect(judgeCheck(plan, historyOf(plan, some)).verdict).toBe("inconclusive");
    const few = calls(960, (index) => (index % 40 === 0 ? { code: "unknown" } : {}));
    expect(judgeCheck(plan, historyOf(plan, few))).toMatchObject({ verdict: "pass", trials: 936 });
    const all = calls(960, () => ({ code: "unknown" }));
    expect(judgeCheck(plan, historyOf(plan, all)).verdict).toBe("inconclusive");
  });
});

describe("a bound below 1, on calls that their caller keeps back", () => {
  const kept = planOf([attemptsPerCall("orders").atMost(0.6).detects(0.9)], { cluster: "failfast" });
  const sent = (share: number) =>
    calls(960).map((call, index) => (index % 100 < share * 100 ? call : { ...call, attempts: [] }));

  test("counts first attempts too", () => {
    expect(judgeCheck(kept, historyOf(kept, sent(0.5)))).toMatchObject({
      verdict: "pass",
      observed: "0.521",
      bound: "≤ 0.6",
      message: "960 calls of orders took 500 attempts",
    });
  });

  test("fails where as many are sent as it detects", () => {
    expect(judgeCheck(kept, historyOf(kept, sent(0.9)))).toMatchObject({ verdict: "fail", observed: "0.907" });
  });

  test("a retry is still a defect where none is allowed", () => {
    const made = sent(0.5).map((call, index) =>
      index === 3 ? { ...call, attempts: [...call.attempts, ...call.attempts] } : call,
    );
    expect(judgeCheck(kept, historyOf(kept, made))).toMatchObject({
      verdict: "fail",
      message: expect.stringContaining("1 took more than the 1 that") as unknown,
    });
  });

  test("nothing can exceed a bound of as many as there are", () => {
    expect(() => planOf([attemptsPerCall("orders").atMost(0.9).detects(0.8)])).toThrow(
      /allows what it says it detects/,
    );
  });
});

describe("the plan", () => {
  test.each([
    ["retries 0", { retries: 0 }],
    ["failfast", { cluster: "failfast" }],
  ])("%s: the range is one attempt, and one more is a defect where none is allowed", (_name, sketch) => {
    const strict = planOf([attemptsPerCall("orders").atMost(1).detects(1.1)], sketch);
    expect(strict.checks[0]!.extraAttemptsMax).toBe(1);
    expect(judgeCheck(strict, historyOf(strict, calls(960))).verdict).toBe("pass");
    const made = calls(960, (index) => (index === 7 ? { before: once } : {}));
    expect(judgeCheck(strict, historyOf(strict, made)).verdict).toBe("fail");
  });

  test("refuses a bound that nothing can exceed", () => {
    expect(() => planOf([attemptsPerCall("orders").atMost(3).detects(4)])).toThrow(/allows what it says it detects/);
  });

  test("refuses a load that is too small", () => {
    expect(() => planOf([attemptsPerCall("orders").atMost(1.25).detects(1.3)])).toThrow(/can count on 844 trials/);
  });
});

describe("errors of the check itself", () => {
  const drawing = (share: number, before: readonly string[]) => (_due: number, random: { float(): number }) =>
    random.float() < share ? { before } : {};

  test.each([
    ["one retry each", 0.25, once],
    ["two retries each", 0.125, twice],
  ])("a service that needs as many attempts as it may never fails, in 1000 draws: %s", (_name, share, before) => {
    const coarse = planOf([attemptsPerCall("orders").atMost(1.25).detects(2)], { rate: "25/s" });
    for (let seed = 0; seed < 1_000; seed++) {
      const made = drawnCalls(coarse, seed, drawing(share, before));
      expect(judgeCheck(coarse, historyOf(coarse, made)).verdict, `seed ${seed}`).toBe("pass");
    }
  });

  test.each([
    ["one retry each", 0.6, once],
    ["two retries each", 0.3, twice],
  ])("what it detects it finds in 99 of 100 draws: %s", (_name, share, before) => {
    const tight = planOf([attemptsPerCall("orders").atMost(1.25).detects(1.6)], { rate: "80/s" });
    let found = 0;
    for (let seed = 0; seed < 300; seed++) {
      if (judgeCheck(tight, historyOf(tight, drawnCalls(tight, seed, drawing(share, before)))).verdict === "fail")
        found++;
    }
    expect(found).toBeGreaterThanOrEqual(297);
  });
});
