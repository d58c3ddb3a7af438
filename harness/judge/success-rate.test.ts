import { describe, expect, test } from "vitest";

import { successRate } from "../scenario/builders.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const plan = planOf([successRate("orders").atLeast("99%").detects("93%")]);

describe("what it counts", () => {
  test("passes when all calls end OK", () => {
    const result = judgeCheck(plan, historyOf(plan, calls(960)));
    expect(result).toMatchObject({ verdict: "pass", observed: "100%", bound: "≥ 99%", trials: 960, falseAlarm: 1e-9 });
    expect(result.message).toBe("0 of 960 calls of orders failed");
  });

  test("fails when every tenth doesn't, and says when and why the first did", () => {
    const made = calls(960, (index) => (index % 10 === 5 ? { code: "UNAVAILABLE" } : {}));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "fail",
      observed: "90%",
      message: "96 of 960 calls of orders failed; the first: UNAVAILABLE it is a test",
      brokenAtMs: 42,
    });
  });

  test("shows a bound as it was stated, and an observation never better than it is", () => {
    const strict = planOf([successRate("orders").atLeast("99.95%").detects("95%")]);
    const made = calls(960, (index) => (index === 0 ? { code: "UNAVAILABLE" } : {}));
    expect(judgeCheck(strict, historyOf(strict, made))).toMatchObject({ bound: "≥ 99.95%", observed: "99.8%" });
  });

  test("leaves out the warm-up and other services", () => {
    const made = [
      ...calls(100, (index) => ({ dueUs: index - 1_000, code: "UNAVAILABLE" })),
      ...calls(100, () => ({ service: "registry", code: "UNAVAILABLE" })),
      ...calls(960),
    ];
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "pass", trials: 960 });
  });

  test("is inconclusive without a call", () => {
    expect(judgeCheck(plan, historyOf(plan, []))).toMatchObject({ verdict: "inconclusive", trials: 0 });
  });
});

describe("calls of unknown end", () => {
  test("get the benefit of the doubt, as long as it doesn't decide", () => {
    const few = calls(960, (index) => (index < 5 ? { code: "unknown" } : {}));
    expect(judgeCheck(plan, historyOf(plan, few))).toMatchObject({
      verdict: "pass",
      message: "0 of 960 calls of orders failed, 5 of unknown end",
    });
    const many = calls(960, (index) => (index < 200 ? { code: "unknown" } : {}));
    expect(judgeCheck(plan, historyOf(plan, many)).verdict).toBe("inconclusive");
  });

  test("alone prove nothing, however few", () => {
    const made = calls(3, () => ({ code: "unknown" }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "inconclusive", observed: "unknown" });
  });

  test("don't save what failed anyway", () => {
    const made = calls(960, (index) => (index < 100 ? { code: index < 50 ? "unknown" : "INTERNAL" } : {}));
    expect(judgeCheck(plan, historyOf(plan, made)).verdict).toBe("fail");
  });
});

describe("windows", () => {
  const bad = (fromUs: number, toUs: number) =>
    calls(960, (index) => {
      const dueUs = Math.floor((index * 8_000_000) / 960);
      return dueUs >= fromUs && dueUs < toUs ? { code: "UNAVAILABLE" } : {};
    });

  test("during: from its first moment (in) to its last (out)", () => {
    const during = planOf([successRate("orders").atLeast("99%").detects("80%").during("3s..5s")]);
    expect(judgeCheck(during, historyOf(during, bad(3_000_000, 5_000_000)))).toMatchObject({
      trials: 240,
      observed: "0%",
      brokenAtMs: 3_000,
    });
    expect(judgeCheck(during, historyOf(during, bad(5_000_000, 8_000_000)))).toMatchObject({ observed: "100%" });
  });

  test("outside: everything else", () => {
    const outside = planOf([successRate("orders").atLeast("99%").detects("90%").outside("3s..5s")]);
    expect(judgeCheck(outside, historyOf(outside, bad(3_000_000, 5_000_000)))).toMatchObject({
      verdict: "pass",
      trials: 720,
    });
  });

  test("a window may end with the load", () => {
    const last = planOf([successRate("orders").atLeast("99%").detects("80%").during("6s..8s")]);
    expect(judgeCheck(last, historyOf(last, calls(960)))).toMatchObject({ trials: 240 });
  });
});

describe("the plan", () => {
  const refused = (make: () => unknown): unknown => {
    try {
      make();
    } catch (error) {
      return error;
    }
    return undefined;
  };

  test("refuses a load that is too small, and says which would do", () => {
    const error = refused(() => planOf([successRate("orders").atLeast("99%").detects("93%")], { rate: "90/s" }));
    expect(error).toMatchObject({
      code: "TOO_FEW_TRIALS",
      message: expect.stringMatching(
        /^"orders success ≥ 99%" can count on 620 trials, and needs 7\d\d to find/,
      ) as string,
      hint: "let it detect a larger deviation, or raise the load to 105/s or its length to 10 s",
    });
    expect(() => planOf([successRate("orders").atLeast("99%").detects("93%")], { rate: "105/s" })).not.toThrow();
    expect(() =>
      planOf([successRate("orders").atLeast("99%").detects("93%")], { rate: "90/s", length: "10s" }),
    ).not.toThrow();
  });

  test("knows that a longer load doesn't help a window", () => {
    const check = successRate("orders").atLeast("99%").detects("93%").during("1s..3s");
    expect(refused(() => planOf([check]))).toMatchObject({
      hint: expect.not.stringContaining("length") as string,
    });
  });

  test("refuses to detect what it allows", () => {
    expect(refused(() => planOf([successRate("orders").atLeast("99%").detects("99.5%")]))).toMatchObject({
      code: "INVALID_SCENARIO",
    });
  });
});

describe("errors of the check itself", () => {
  const coarse = planOf([successRate("orders").atLeast("90%").detects("50%")], { rate: "20/s" });

  test("a service that fails as often as it may never fails, in 2000 draws", () => {
    for (let seed = 0; seed < 2_000; seed++) {
      const made = drawnCalls(coarse, seed, (_due, random) => (random.float() < 0.1 ? { code: "INTERNAL" } : {}));
      expect(judgeCheck(coarse, historyOf(coarse, made)).verdict, `seed ${seed}`).toBe("pass");
    }
  });

  test("what it detects it finds in 99 of 100 draws, whatever calls the seed gives it", () => {
    let found = 0;
    for (let seed = 0; seed < 300; seed++) {
      const own = planOf([successRate("orders").atLeast("99%").detects("93%")], { rate: "105/s", seed });
      const made = drawnCalls(own, seed, (_due, random) => (random.float() < 0.07 ? { code: "INTERNAL" } : {}));
      if (judgeCheck(own, historyOf(own, made)).verdict === "fail") found++;
    }
    expect(found).toBeGreaterThanOrEqual(297);
  });
});
