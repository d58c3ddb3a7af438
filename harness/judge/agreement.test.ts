import { describe, expect, test } from "vitest";

import type { CallRecord } from "../history/history.ts";
import type { RunResult, Verdict } from "../report/verdict.ts";
import { recovery } from "../scenario/builders.ts";
import { agree, type ComparedRun } from "./agreement.ts";
import { calls, historyOf, planOf, type CallSketch } from "./fixtures.ts";

const check = recovery("orders").after("2s").within("1s").atLeast("99%").detects("1s");
const plan = planOf([check]);
const run = (made: readonly CallRecord[], verdict: Verdict = "pass"): ComparedRun => ({
  result: { verdict, seed: 1, world: "local" } as RunResult,
  history: historyOf(plan, made),
});
const made = (make: (index: number) => Partial<CallSketch> = () => ({})) => calls(1_000, make);
const rowOf = (result: ReturnType<typeof agree>, quantity: RegExp) => {
  const { expected, tolerance, measured } = result.rows.find((row) => quantity.test(row.quantity))!;
  return { expected, tolerance, ...measured[0]! };
};
const compared = (sim: readonly CallRecord[], local: readonly CallRecord[]) =>
  agree(plan.scenario, run(sim), [run(local)]);

test("runs that are alike agree, quantity by quantity", () => {
  const result = compared(made(), made());
  expect(result.verdict).toBe("pass");
  expect(result.rows.map(({ quantity, tolerance }) => [quantity, tolerance])).toEqual([
    ["orders success", "± 3%"],
    ["orders/0 share", "± 3%"],
    ["p99", "± 25% or 20 ms"],
    ["orders recovery after 2s", "± 20% or 250 ms"],
  ]);
});

describe("each tolerance fails when the difference exceeds it", () => {
  test.each([
    [
      "success",
      /success/,
      30,
      31,
      (count: number) => (index: number) => (index < count ? { code: "INTERNAL" as const } : {}),
    ],
    [
      "share",
      /orders\/1 share/,
      30,
      31,
      (count: number) => (index: number) => ({ to: index < count ? "orders/1" : "orders/0" }),
    ],
    ["p99, of short times at least 20 ms", /p99/, 25_000, 26_000, (tookUs: number) => () => ({ tookUs })],
  ])("%s", (_name, quantity, within, beyond, make) => {
    expect(rowOf(compared(made(), made(make(within))), quantity).agrees).toBe(true);
    const result = compared(made(), made(make(beyond)));
    expect(rowOf(result, quantity).agrees).toBe(false);
    expect(result.verdict).toBe("fail");
  });

  test("p99, of long times a quarter of what was predicted", () => {
    const slow = (tookUs: number) => made(() => ({ tookUs }));
    expect(rowOf(compared(slow(200_000), slow(250_000)), /p99/).agrees).toBe(true);
    expect(rowOf(compared(slow(200_000), slow(250_001)), /p99/).agrees).toBe(false);
    expect(rowOf(compared(slow(200_000), slow(149_999)), /p99/).agrees).toBe(false);
  });

  test("recovery, a fifth of what was predicted, and a quarter of a second at least", () => {
    const down = (untilUs: number) =>
      made((index) => (index >= 250 && index * 8_000 <= untilUs ? { code: "UNAVAILABLE" as const } : {}));
    const row = (sim: number, local: number) => rowOf(compared(down(sim), down(local)), /recovery/);
    expect(row(2_744_000, 2_992_000).agrees).toBe(true);
    expect(row(2_744_000, 3_040_000).agrees).toBe(false);
    expect(row(4_992_000, 5_584_000).agrees).toBe(true);
    expect(row(4_992_000, 5_592_000).agrees).toBe(false);
    expect(row(8_000_000, 8_000_000)).toMatchObject({ expected: "never", value: "never", agrees: true });
    // Never is not within a fifth of anything.
    expect([row(8_000_000, 3_000_000).agrees, row(3_000_000, 8_000_000).agrees]).toEqual([false, false]);
  });
});

test("a scenario may state tighter tolerances", () => {
  const tight = { ...plan.scenario, agreement: { success: 0.01 } };
  const local = run(made((index) => (index < 11 ? { code: "INTERNAL" } : {})));
  expect(rowOf(agree(tight, run(made()), [local]), /success/)).toMatchObject({
    tolerance: "± 1%",
    agrees: false,
  });
});

describe("where each call is a draw, two runs may differ as far as draws do", () => {
  const byChance = { ...plan.scenario, agreement: { share: "chance", success: "chance" } as const };
  const half = made((index) => ({ to: `orders/${index % 2}`, ...(index % 10 === 0 && { code: "INTERNAL" as const }) }));
  const against = (other: readonly CallRecord[]) => agree(byChance, run(half), [run(other)]);

  test("by more than a tolerance", () => {
    const drawn = against(
      made((index) => ({
        to: index < 450 ? "orders/0" : "orders/1",
        ...(index % 7 === 0 && { code: "INTERNAL" as const }),
      })),
    );
    expect(rowOf(drawn, /orders\/0 share/)).toMatchObject({ tolerance: "± chance", agrees: true });
    expect(rowOf(drawn, /success/)).toMatchObject({ tolerance: "± chance", agrees: true });
  });

  test("and no further", () => {
    expect(
      rowOf(against(made((index) => ({ to: index < 320 ? "orders/0" : "orders/1" }))), /orders\/0 share/).agrees,
    ).toBe(false);
    expect(rowOf(against(made((index) => (index % 3 === 0 ? { code: "INTERNAL" } : {}))), /success/).agrees).toBe(
      false,
    );
  });

  test("not in whether a service is called at all", () => {
    const extra = [...half, ...calls(10, () => ({ service: "payments", to: "payments/0" }))];
    expect(agree(byChance, run(half), [run(extra)]).verdict).toBe("fail");
  });
});

test("tags stand in for instances where a service has them, by service", () => {
  const tagged = planOf([check], { tags: ["v1", undefined] });
  const history = historyOf(
    tagged,
    made((index) => ({ to: `orders/${index % 2}` })),
  );
  const tagless: ComparedRun = { result: { verdict: "pass" } as RunResult, history };
  const result = agree(tagged.scenario, tagless, [tagless]);
  expect(result.rows.map(({ quantity }) => quantity).filter((quantity) => quantity.includes("share"))).toEqual([
    "orders - share",
    "orders v1 share",
  ]);
});

test("a service that only one of the two called is a difference", () => {
  const extra = [...made(), ...calls(100, () => ({ service: "payments", to: "payments/0" }))];
  expect(compared(made(), extra).verdict).toBe("fail");
  expect(compared(extra, made()).verdict).toBe("fail");
});

test("calls of unknown end count for neither", () => {
  const some = made((index) => (index < 500 ? { code: "unknown" } : {}));
  expect(compared(made(), some).verdict).toBe("pass");
});

test("a measurement that says nothing contradicts nothing", () => {
  const bad = made(() => ({ code: "INTERNAL" }));
  const verdictOf = (sim: ComparedRun, local: ComparedRun) => agree(plan.scenario, sim, [local]).verdict;
  expect(verdictOf(run(made()), run(bad, "inconclusive"))).toBe("inconclusive");
  expect(verdictOf(run(made()), run(made(), "error"))).toBe("inconclusive");
  expect(verdictOf(run(made()), { result: run([]).result })).toBe("inconclusive");
  expect(verdictOf(run(made(), "fail"), run(made(), "fail"))).toBe("pass");
});

test("each world is held against the same prediction, and the worst of them counts", () => {
  const docker: ComparedRun = {
    result: { verdict: "pass", seed: 1, world: "docker" } as RunResult,
    history: run(made((index) => (index < 31 ? { code: "INTERNAL" } : {}))).history,
  };
  const result = agree(plan.scenario, run(made()), [run(made()), docker]);
  expect(result).toMatchObject({ verdict: "fail", worlds: ["local", "docker"] });
  expect(result.rows.find(({ quantity }) => quantity === "orders success")).toEqual({
    quantity: "orders success",
    expected: "100%",
    tolerance: "± 3%",
    measured: [
      { world: "local", value: "100%", agrees: true },
      { world: "docker", value: "96.9%", agrees: false },
    ],
  });
});

describe("a busy machine", () => {
  const lags = (maxUs: number, seconds: number) =>
    Array.from({ length: seconds }, (_, second) => ({ node: "harness", atUs: second * 1_000_000 + 500_000, maxUs }));
  const slowed = (tookUs: number, maxUs: number, seconds = 8) =>
    agree(plan.scenario, run(made()), [
      {
        result: run([]).result,
        history: historyOf(
          plan,
          made(() => ({ tookUs })),
          { lags: lags(maxUs, seconds) },
        ),
      },
    ]);

  test("that stands still for over half a percent of the time puts a slow p99 in doubt", () => {
    const result = slowed(60_000, 6_000);
    expect(result.verdict).toBe("inconclusive");
    expect(rowOf(result, /p99/)).toMatchObject({ agrees: false, doubt: "the machine stood still for 48 ms in all" });
    expect(slowed(60_000, 4_000).verdict).toBe("fail");
  });

  test("with a hiccup or two is no excuse, nor is any for other differences", () => {
    expect(slowed(60_000, 30_000, 1).verdict).toBe("fail");
    const failing = historyOf(
      plan,
      made(() => ({ code: "INTERNAL", tookUs: 60_000 })),
      { lags: lags(900_000, 8) },
    );
    const local = { result: run([]).result, history: failing };
    expect(agree(plan.scenario, run(made()), [local]).verdict).toBe("fail");
  });
});
