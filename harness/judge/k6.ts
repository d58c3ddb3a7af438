import type { History } from "../history/history.ts";
import { k6Thresholds, type K6Threshold } from "../load/k6/thresholds.ts";
import type { CheckResult } from "../report/verdict.ts";
import { durationUs, formatDuration, formatShare } from "../scenario/durations.ts";
import type { Plan } from "../scenario/plan.ts";
import { despiteLag, nothingToJudge, resultOf, type Finding } from "./outcome.ts";
import { loadCalls } from "./summary.ts";

/** What k6 found of the checks that it could hold, and whether each of its requests became a call. */
export function judgeK6(plan: Plan, history: History): readonly CheckResult[] {
  const thresholds = k6Thresholds(plan).map((threshold) =>
    resultOf({ ...threshold.check, name: `k6: ${threshold.check.name}` }, judgeThreshold(threshold, history)),
  );
  return [...(isGatewayHurt(plan) ? [] : [judgeCalls(plan, history)]), ...thresholds];
}

function judgeThreshold(threshold: K6Threshold, history: History): Finding {
  const { check, metric, expression, trials, parts } = threshold;
  const bound = boundOf(threshold);
  const found = history.loadReport?.thresholds.find((one) => one.metric === metric && one.expression === expression);
  if (found === undefined) return { ...nothingToJudge(bound, "measurement of k6's"), message: "k6 gave no result" };
  const isShare = threshold.aggregate === "rate";
  const observed =
    found.observed === null
      ? "unknown"
      : isShare
        ? formatShare(1 - found.observed)
        : formatDuration(Math.ceil(found.observed) * 1000);
  const finding: Finding = {
    verdict: found.ok ? "pass" : "fail",
    observed,
    bound,
    trials,
    message: `k6's threshold ${metric}: ${expression} was ${found.ok ? "held" : "crossed"} over ${trials} requests`,
  };
  if (check.check.check !== "latency") return finding;
  const during = { fromUs: parts[0]!.fromUs, toUs: parts.at(-1)!.toUs };
  return despiteLag(finding, history, durationUs(check.check.atMost), during);
}

/** The check's own bound; k6's threshold says in the message where the test of it is. */
function boundOf({ check: { check } }: K6Threshold): string {
  if (check.check === "success-rate")
    return `≥ ${typeof check.atLeast === "string" ? check.atLeast : formatShare(check.atLeast, 4)}`;
  return check.check === "latency" ? `≤ ${formatDuration(durationUs(check.atMost))}` : "";
}

function judgeCalls(plan: Plan, history: History): CheckResult {
  const made = loadCalls(history).length;
  const name = "k6: each request is a call";
  const planned = plan.drives.reduce((sum, { dueUs }) => sum + dueUs.length, 0);
  const base = { name, phase: "safety", bound: "all", detects: "one", trials: planned, falseAlarm: 0 } as const;
  const report = history.loadReport;
  if (report === undefined) {
    return { ...base, verdict: "inconclusive", observed: "nothing", message: "k6 gave no result" };
  }
  return {
    ...base,
    verdict: report.calls === made ? "pass" : "fail",
    observed: `${made} of ${report.calls}`,
    message: `k6 made ${report.calls} requests, and the history has ${made} calls`,
  };
}

/** A dead or frozen gateway turns no request into a call, which is no defect of its own. */
function isGatewayHurt({ timeline, drives }: Plan): boolean {
  const gateways = new Set(drives.map(({ node }) => node));
  return timeline.some(({ what }) => what.kind !== "publish" && what.nodes.some((node) => gateways.has(node)));
}
