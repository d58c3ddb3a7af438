import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { createRandom } from "../../runtime/random.ts";
import type { CallRecord } from "../history/history.ts";
import type { RunResult, Verdict } from "../report/verdict.ts";
import { at, recovery } from "../scenario/builders.ts";
import { agree, type ComparedRun } from "./agreement.ts";
import { calls, historyOf, planOf, stepsOf, type CallSketch } from "./fixtures.ts";

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
/** As a scenario that states its tolerances. */
const compared = (sim: readonly CallRecord[], local: readonly CallRecord[]) =>
  agree({ ...plan.scenario, agreement: { share: 0.03, success: 0.03 } }, run(sim), [run(local)]);

test("runs that are alike agree, quantity by quantity", () => {
  const result = compared(made(), made());
  expect(result.verdict).toBe("pass");
  expect(result.rows.map(({ quantity, tolerance }) => [quantity, tolerance])).toEqual([
    ["verdict", "the same"],
    ["orders success", "± 3%"],
    ["orders/0 share", "± 3%"],
    ["p99", "± 25% or 20 ms"],
    ["orders recovery after 2 s", "± 20% or 250 ms"],
  ]);
});

test.each([
  ["pass", "fail", false],
  ["fail", "pass", false],
  ["fail", "fail", true],
  ["pass", "inconclusive", true],
] as const)("a prediction of %s and a measurement of %s: %s", (predicted, measured, agrees) => {
  const result = agree(plan.scenario, run(made(), predicted), [run(made(), measured)]);
  expect(rowOf(result, /verdict/)).toMatchObject({ expected: predicted, value: measured, agrees });
  expect(result.verdict).toBe(agrees ? "pass" : "fail");
});

test("errors are counted by their kind: as many of another kind don't agree", () => {
  const failing = (code: "INTERNAL" | "UNAVAILABLE", every: number) =>
    made((index) => (index % every === 0 ? { code } : {}));
  const alike = compared(failing("INTERNAL", 20), failing("INTERNAL", 25));
  expect(rowOf(alike, /orders INTERNAL/)).toMatchObject({ expected: "50 of 1000", value: "40 of 1000", agrees: true });
  const other = compared(failing("INTERNAL", 20), failing("UNAVAILABLE", 20));
  expect(rowOf(other, /success/).agrees).toBe(true);
  expect(rowOf(other, /orders INTERNAL/)).toMatchObject({ expected: "50 of 1000", value: "0 of 1000", agrees: false });
  expect(rowOf(other, /orders UNAVAILABLE/)).toMatchObject({
    expected: "0 of 1000",
    value: "50 of 1000",
    agrees: false,
  });
  expect(other.verdict).toBe("fail");
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

  test("p99, where more calls are slower than chance makes of one in a hundred", () => {
    const some = (count: number, tookUs: number, others = 5_000) =>
      made((index) => ({ tookUs: index % 40 === 0 && index < 40 * count ? tookUs : others }));
    const agreed = (count: number) => rowOf(compared(made(), some(count, 60_000)), /p99/).agrees;
    expect([agreed(9), agreed(15), agreed(25)]).toEqual([true, true, false]);
    // The other way: what was slow in a hundredth of the prediction isn't any more.
    const quick = (count: number) => rowOf(compared(some(25, 90_000), some(count, 90_000)), /p99/).agrees;
    expect([quick(9), quick(5), quick(0)]).toEqual([true, true, false]);
  });

  test("p99 of few calls: where all are quicker, no chance made it; where a few are slower in both, one may have", () => {
    const few = (slow: number, tookUs = 60_000) => calls(300, (index) => ({ tookUs: index < slow ? tookUs : 5_000 }));
    expect(rowOf(compared(few(300, 200_000), few(300, 100_000)), /p99/).agrees).toBe(false);
    expect(rowOf(compared(few(300, 100_000), few(300, 200_000)), /p99/).agrees).toBe(false);
    // Had both one in 40, three and twelve were no wonder.
    expect(rowOf(compared(few(3), few(12)), /p99/).agrees).toBe(true);
    expect(rowOf(compared(few(0), few(16)), /p99/).agrees).toBe(false);
  });

  test("two runs that draw their slow calls alike hardly ever differ in their p99, however few there are", () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(5, 10, 15, 20, 25, 40), (seed, perMille) => {
        const random = createRandom(seed);
        const drawn = () => calls(300, () => ({ tookUs: random.below(1000) < perMille ? 60_000 : 5_000 }));
        return rowOf(compared(drawn(), drawn()), /p99/).agrees;
      }),
      { numRuns: 60, seed: 1 },
    );
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

test("a share that nobody has stated a tolerance for may differ by 3 % or by chance, whichever is more", () => {
  const calling = (count: number, share: number) =>
    run(calls(count, (index) => ({ to: index < share * count ? "orders/0" : "orders/1" })));
  const row = (count: number, share: number) =>
    rowOf(agree(plan.scenario, calling(count, 0.5), [calling(count, share)]), /orders\/0 share/);
  expect(row(500, 0.55)).toMatchObject({ tolerance: "± 3% or chance", agrees: true });
  expect(row(100_000, 0.53).agrees).toBe(true);
  expect(row(100_000, 0.531).agrees).toBe(false);
  expect(row(500, 0.75).agrees).toBe(false);
  const failing = run(made((index) => (index < 31 ? { code: "INTERNAL" } : {})));
  expect(rowOf(agree(plan.scenario, run(made()), [failing]), /success/).agrees).toBe(false);
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

  test("that had no time to spare puts a slow p99 in doubt, and no quick one", () => {
    const on = (tookUs: number, idleUs: number, predictedUs = 5_000) =>
      agree(plan.scenario, run(made(() => ({ tookUs: predictedUs }))), [
        {
          result: run([]).result,
          history: historyOf(
            plan,
            made(() => ({ tookUs })),
            { harnessCpu: { type: "harness.cpu", atUs: 0, usedUs: 0, ofUs: 100, idleUs } },
          ),
        },
      ]);
    expect(rowOf(on(60_000, 4), /p99/)).toMatchObject({
      agrees: false,
      doubt: "the processors were busy 96% of the time",
    });
    expect(on(60_000, 4).verdict).toBe("inconclusive");
    expect(on(60_000, 5).verdict).toBe("fail");
    expect(on(5_000, 4, 60_000).verdict).toBe("fail");
  });

  test("that took long to start a node again puts every difference in doubt", () => {
    const restart = planOf([check], { timeline: [at("1s").kill("orders/1", { for: "2s" })], world: "local" });
    const local = (tookUs: number): ComparedRun => ({
      result: run([]).result,
      history: historyOf(
        restart,
        made((index) => ({ to: index < 100 ? "orders/1" : "orders/0" })),
        {
          phases: [-1_000_000, 3_000_000 + tookUs].map((atUs) => ({
            ...{ type: "node", node: "orders/1", phase: "listening" },
            atUs,
          })),
        },
      ),
    });
    expect(agree(plan.scenario, run(made()), [local(900_000)]).verdict).toBe("fail");
    const late = agree(plan.scenario, run(made()), [local(1_300_000)]);
    expect(late.verdict).toBe("inconclusive");
    expect(rowOf(late, /orders\/1 share/).doubt).toBe("orders/1 took 1.3 s to start again");
  });

  test("that took long to break something, or to let it go on, puts every difference in doubt", () => {
    const paused = planOf([check], { timeline: [at("1s").pause("orders/1", { for: "1s" })], world: "local" });
    const local = (late: "applied" | "lifted", byUs: number, made: readonly CallRecord[]): ComparedRun => ({
      result: run([]).result,
      history: historyOf(paused, made, {
        steps: stepsOf(paused).map((step) => (step.phase === late ? { ...step, atUs: step.atUs + byUs } : step)),
      }),
    });
    const failing = made((index) => (index < 200 ? { code: "UNAVAILABLE" } : {}));
    const verdict = (...args: Parameters<typeof local>) => agree(plan.scenario, run(made()), [local(...args)]).verdict;
    expect([verdict("applied", 150_000, failing), verdict("lifted", 150_000, failing)]).toEqual(["fail", "fail"]);
    expect([verdict("applied", 160_000, failing), verdict("lifted", 160_000, failing)]).toEqual([
      ...["inconclusive", "inconclusive"],
    ]);
    const late = agree(plan.scenario, run(made()), [local("lifted", 420_000, failing)]);
    expect(rowOf(late, /orders success/)).toMatchObject({ agrees: false, doubt: "the end of the pause took 420 ms" });
    expect(verdict("applied", 900_000, made())).toBe("pass");
    const sim = planOf([check], { timeline: [at("1s").pause("orders/1", { for: "1s" })] });
    const inSim = {
      result: run([]).result,
      history: historyOf(sim, failing, { steps: stepsOf(paused).map((step) => ({ ...step, atUs: step.atUs * 2 })) }),
    };
    expect(agree(plan.scenario, run(made()), [inSim]).verdict).toBe("fail");
  });

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
