import { describe, expect, test } from "vitest";

import { latency } from "../scenario/builders.ts";
import { calls, drawnCalls, historyOf, judgeCheck, planOf } from "./fixtures.ts";

const check = latency("orders").p90("100ms").detects("32%");
const plan = planOf([check]);
const local = planOf([check], { world: "local" });
const slow = calls(960, (index) => (index % 2 === 0 ? { tookUs: 150_001 } : {}));

describe("what it counts", () => {
  test("passes when no more are slow than the percentile leaves over", () => {
    const made = calls(960, (index) => (index % 10 === 0 ? { tookUs: 900_000 } : { tookUs: 99_500 }));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({
      verdict: "pass",
      observed: "100 ms",
      bound: "≤ 100 ms",
      message: "96 of 960 calls of orders took longer than 100 ms or failed",
    });
  });

  test("fails when half of the calls are slow", () => {
    expect(judgeCheck(plan, historyOf(plan, slow))).toMatchObject({
      verdict: "fail",
      observed: "151 ms",
      brokenAtMs: 0,
      falseAlarm: 1e-9,
    });
  });

  test("the bound itself is not too slow", () => {
    expect(
      judgeCheck(
        plan,
        historyOf(
          plan,
          calls(960, () => ({ tookUs: 100_000 })),
        ),
      ).verdict,
    ).toBe("pass");
  });

  test("time begins when a call was due, not when it was sent", () => {
    const made = calls(960, () => ({ lateUs: 145_000, tookUs: 150_000 }));
    expect(judgeCheck(plan, historyOf(plan, made)).verdict).toBe("fail");
  });

  test("a call that fails is slow, however fast it failed", () => {
    const made = calls(960, (index) => (index % 2 === 0 ? { tookUs: 1, code: "UNAVAILABLE" } : {}));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "fail", observed: "failed" });
  });

  test("a call of unknown end is neither", () => {
    const made = calls(960, (index) => (index < 600 ? { code: "unknown" } : {}));
    expect(judgeCheck(plan, historyOf(plan, made))).toMatchObject({ verdict: "inconclusive", observed: "5 ms" });
  });

  test("is inconclusive without a call", () => {
    expect(judgeCheck(plan, historyOf(plan, []))).toMatchObject({ verdict: "inconclusive" });
  });
});

describe("a machine that is late", () => {
  const lag = (atUs: number, maxUs: number, node = "orders/0") => [{ node, atUs, maxUs }];
  const judged = (lags: readonly { node: string; atUs: number; maxUs: number }[], made = slow) =>
    judgeCheck(local, historyOf(local, made, { lags }));

  test("by more than a quarter of the bound makes a failure inconclusive", () => {
    expect(judged(lag(1_000_000, 25_001))).toMatchObject({
      verdict: "inconclusive",
      message: expect.stringContaining("the machine ran up to 25 ms late") as string,
    });
    expect(judged(lag(1_000_000, 25_000)).verdict).toBe("fail");
  });

  test("doesn't take back a pass", () => {
    expect(judged(lag(1_000_000, 900_000), calls(960)).verdict).toBe("pass");
  });

  test("counts only while the check looks", () => {
    const during = planOf([latency("orders").p90("100ms").detects("50%").during("2s..4s")], { world: "local" });
    const at = (atUs: number) => judgeCheck(during, historyOf(during, slow, { lags: lag(atUs, 900_000) })).verdict;
    expect([at(1_900_000), at(2_100_000), at(4_900_000), at(5_200_000)]).toEqual([
      "fail",
      "inconclusive",
      "inconclusive",
      "fail",
    ]);
  });

  test("has no bound on false alarms, and virtual time has", () => {
    expect([local.checks[0]!.falseAlarm, plan.checks[0]!.falseAlarm]).toEqual([null, 1e-9]);
    expect(judgeCheck(plan, historyOf(plan, slow, { lags: lag(1_000_000, 900_000) })).verdict).toBe("fail");
  });
});

describe("errors of the check itself", () => {
  const draw = (seed: number, share: number, own = plan) =>
    judgeCheck(
      own,
      historyOf(
        own,
        drawnCalls(own, seed, (_due, random) => (random.float() < share ? { tookUs: 200_000 } : {})),
      ),
    ).verdict;

  test("a service that is slow as often as it may never fails, in 2000 draws", () => {
    const coarse = planOf([latency("orders").p90("100ms").detects("55%")], { rate: "20/s" });
    for (let seed = 0; seed < 2_000; seed++) expect(draw(seed, 0.1, coarse), `seed ${seed}`).toBe("pass");
  });

  test("what it detects it finds in 99 of 100 draws", () => {
    const tight = planOf([check], { rate: "48/s" });
    let found = 0;
    for (let seed = 0; seed < 300; seed++) if (draw(seed, 0.32, tight) === "fail") found++;
    expect(found).toBeGreaterThanOrEqual(297);
  });
});
