import { expect, test } from "vitest";

import type { History } from "../history/history.ts";
import type { LoadReportRecord } from "../history/record.ts";
import { k6Plan } from "../load/k6/fixture.ts";
import { k6Thresholds } from "../load/k6/thresholds.ts";
import { at, latency, successRate } from "../scenario/builders.ts";
import type { Plan } from "../scenario/plan.ts";
import { drawnCalls, historyOf } from "./fixtures.ts";
import { judgeRun } from "./judge.ts";

/** What k6 says of a run in which these thresholds are crossed. */
function reportOf(plan: Plan, crossed: readonly number[] = [], more: Partial<LoadReportRecord> = {}): LoadReportRecord {
  return {
    type: "load.report",
    by: "k6",
    calls: plan.drives.reduce((sum, { dueUs }) => sum + dueUs.length, 0),
    failed: 0,
    thresholds: k6Thresholds(plan).map(({ metric, expression, aggregate }, index) => ({
      metric,
      expression,
      ok: !crossed.includes(index),
      observed: aggregate === "rate" ? 0.25 : 412.3,
    })),
    ...more,
  };
}

const judge = (plan: Plan, loadReport: LoadReportRecord | undefined, more: Partial<History> = {}) =>
  judgeRun(
    plan,
    historyOf(
      plan,
      drawnCalls(plan, 1, () => ({})),
      { loadReport, ...more },
    ),
  );

const verdicts = ({ checks }: ReturnType<typeof judgeRun>) =>
  checks.filter(({ name }) => name.startsWith("k6")).map(({ name, verdict }) => [name, verdict]);

const expected = [
  successRate("orders").atLeast("99%").detects("85%"),
  successRate("orders").atLeast("90%").detects("30%").during("1s..2s"),
  latency("orders").p90("300ms").detects("40%"),
];
const plan = k6Plan({ expect: expected });

test("a run with k6 has a check for each threshold beside the judge's own, and one for the count", () => {
  const judged = judge(plan, reportOf(plan));
  expect(judged.verdict).toBe("pass");
  expect(judged.checks).toHaveLength(plan.checks.length + 4);
  expect(verdicts(judged)).toEqual([
    ["k6: each request is a call", "pass"],
    ["k6: orders success ≥ 99%", "pass"],
    ["k6: orders success ≥ 90%", "pass"],
    ["k6: orders p90 ≤ 300 ms", "pass"],
  ]);
});

test("a crossed threshold is a failed check, with what k6 saw", () => {
  const judged = judge(plan, reportOf(plan, [0, 2]));
  expect(judged.verdict).toBe("fail");
  const failed = judged.checks.filter(({ verdict }) => verdict === "fail");
  expect(failed).toMatchObject([
    { name: "k6: orders success ≥ 99%", observed: "75%", bound: "≥ 99%", falseAlarm: 1e-9 },
    { name: "k6: orders p90 ≤ 300 ms", observed: "413 ms", bound: "≤ 300 ms", falseAlarm: null },
  ]);
  expect(failed[0]!.message).toMatch(/http_req_failed: rate<0\.\d+ was crossed over \d+ requests/);
});

test("a latency that was crossed while the machine ran late says nothing", () => {
  const lags = [{ node: "harness", atUs: 1_000_000, maxUs: 200_000 }];
  expect(verdicts(judge(plan, reportOf(plan, [2]), { lags }))).toContainEqual([
    "k6: orders p90 ≤ 300 ms",
    "inconclusive",
  ]);
  expect(verdicts(judge(plan, reportOf(plan, [0]), { lags }))).toContainEqual(["k6: orders success ≥ 99%", "fail"]);
});

test("one request that became no call fails the run, unless a fault stood in its way", () => {
  const lost = reportOf(plan);
  const judged = judge(plan, { ...lost, calls: lost.calls + 1 });
  expect(judged.checks.find(({ verdict }) => verdict === "fail")).toMatchObject({
    name: "k6: each request is a call",
    observed: `${lost.calls} of ${lost.calls + 1}`,
  });
  const hurt = k6Plan({ expect: expected, timeline: [at("1s").kill("storefront/1", { for: "1s" })] });
  expect(verdicts(judge(hurt, reportOf(hurt)))).not.toContainEqual(["k6: each request is a call", expect.anything()]);
});

test("without a result of k6's nothing of it is judged", () => {
  const judged = judge(plan, undefined);
  expect(new Set(verdicts(judged).map(([, verdict]) => verdict))).toEqual(new Set(["inconclusive"]));
  expect(judged.verdict).toBe("inconclusive");
});

test("a run whose load came from inside knows nothing of k6", () => {
  const inside = { ...plan, load: undefined };
  expect(verdicts(judge(inside, undefined))).toEqual([]);
});
