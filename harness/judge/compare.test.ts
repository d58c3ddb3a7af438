import { describe, expect, test } from "vitest";

import { createRandom } from "../../runtime/random.ts";
import { sampleHistory, samplePlan, sampleRun } from "../report/samples.ts";
import { compareRuns, quantilesDiffer, type Comparison, type StoredRun } from "./compare.ts";

const run = ({ failing = false } = {}): StoredRun => ({
  result: sampleRun("sim", { failing }).result,
  history: sampleHistory(samplePlan("sim"), { failing }),
});

const different = ({ rows }: Comparison): readonly string[] =>
  rows.filter(({ isDifferent }) => isDifferent).map(({ quantity }) => quantity);

test("a run is the same as itself", () => {
  const comparison = compareRuns(run(), run());
  expect(comparison.outcome).toBe("same");
  expect(comparison.notes).toEqual([]);
  expect(comparison.rows.map(({ quantity }) => quantity)).toEqual([
    "orders success",
    "orders p50",
    "orders p90",
    "orders p99",
  ]);
});

test("an expectation that fails on one side only is a difference, a few errors more are chance", () => {
  const comparison = compareRuns(run(), run({ failing: true }));
  expect(comparison.outcome).toBe("differs");
  expect(comparison.checks.map(({ isDifferent }) => isDifferent)).toEqual([true, false]);
  expect(comparison.rows.find(({ quantity }) => quantity === "orders UNAVAILABLE")!.values).toEqual([
    "0 of 960",
    "20 of 960",
  ]);
  expect(different(comparison)).toEqual([]);
});

describe("what is more than chance", () => {
  const changed = (change: (call: number) => object): StoredRun => {
    const one = run();
    const calls = one.history.calls.map((call, index) => ({ ...call, ...change(index) }));
    return { ...one, history: { ...one.history, calls } };
  };

  test("errors of a tenth of the calls", () => {
    const other = changed((call) => (call % 10 === 0 ? { code: "UNAVAILABLE" } : {}));
    expect(different(compareRuns(run(), other))).toEqual(["orders success", "orders UNAVAILABLE"]);
  });

  test("a third of the calls at another instance", () => {
    const moved = changed((call) => ({
      attempts: [{ instance: call % 3 === 0 ? "orders/10" : "orders/2", beginUs: 0, endUs: 1, code: "OK" }],
    }));
    const even = changed((call) => ({
      attempts: [{ instance: call % 2 === 0 ? "orders/10" : "orders/2", beginUs: 0, endUs: 1, code: "OK" }],
    }));
    expect(different(compareRuns(even, moved))).toEqual(["orders share of orders/2", "orders share of orders/10"]);
  });

  test("calls that take twice as long", () => {
    const { calls } = run().history;
    const slow = changed((at) => ({ endUs: 2 * calls[at]!.endUs - calls[at]!.dueUs }));
    expect(different(compareRuns(run(), slow))).toContain("orders p50");
  });
});

test("a run that was cut off is in doubt, and said to be", () => {
  const one = run();
  const cut = { ...one, history: { ...one.history, end: undefined } };
  const comparison = compareRuns(one, cut);
  expect(comparison.outcome).toBe("inconclusive");
  expect(comparison.notes).toEqual(["B's history was cut off: what came last is missing"]);
});

describe("quantiles of two samples", () => {
  const random = createRandom(7);
  const draw = (n: number, scale: number): readonly number[] =>
    Array.from({ length: n }, () => scale * (1 + random.below(1_000_000)));

  test("differ with a probability of at most alpha where both are drawn alike, whatever their sizes", () => {
    let alarms = 0;
    for (let trial = 0; trial < 2_000; trial++) {
      const share = [0.5, 0.9, 0.99][trial % 3]!;
      if (quantilesDiffer([draw(20 + (trial % 50), 1), draw(60, 1)], share, 0.05)) alarms++;
    }
    expect(alarms).toBeLessThan(0.05 * 2_000);
  });

  test("differ where one is twice the other, in both orders; many equal values are no difference", () => {
    const [a, b] = [draw(800, 1), draw(800, 2)];
    expect(quantilesDiffer([a, b], 0.5)).toBe(true);
    expect(quantilesDiffer([b, a], 0.5)).toBe(true);
    expect(quantilesDiffer([Array(500).fill(3), Array(900).fill(3)] as [number[], number[]], 0.5)).toBe(false);
  });
});
