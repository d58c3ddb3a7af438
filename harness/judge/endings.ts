import type { CallRecord, History } from "../history/history.ts";
import type { CheckResult } from "../report/verdict.ts";
import { formatShare, fractionOf } from "../scenario/durations.ts";
import type { CheckPlan } from "../scenario/plan.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckContext } from "./check.ts";
import { doubtOf, exactShare, judgeBad, nothingToJudge, requirePower, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf } from "./select.ts";

/** Checks of how calls end: at least so many of them in the right way. */
type Endings = Extract<CheckSpec, { check: "success-rate" | "calls-end" }>;

export function planEndings(name: string, spec: Endings, context: CheckContext): CheckPlan {
  const { expected, atLeast: trials } = plannedCalls(context, spec.service, spec);
  requirePower(
    { name, context, trials, more: spec.during === undefined ? "rate or length" : "rate" },
    { p: 1 - fractionOf(spec.atLeast), p1: 1 - fractionOf(spec.detects) },
  );
  return {
    check: spec,
    name,
    phase: spec.phase ?? "safety",
    expectedTrials: expected,
    falseAlarm: falseAlarmMax,
    detects: exactShare(fractionOf(spec.detects)),
  };
}

/** `wrongly`: what calls did that ended in another way, for people. */
export function judgeEndings(
  plan: CheckPlan & { readonly check: Endings },
  history: History,
  { isWrong, wrongly }: { readonly isWrong: (call: CallRecord) => boolean; readonly wrongly: string },
): CheckResult {
  const { service } = plan.check;
  const atLeast = fractionOf(plan.check.atLeast);
  const bound = `≥ ${exactShare(atLeast)}`;
  const calls = callsOf(history, service, plan.check);
  if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
  const { verdict, bad, known, unknown } = judgeBad(calls, isWrong, 1 - atLeast);
  const firstBad = calls.find((call) => call.code !== undefined && isWrong(call));
  const why = firstBad === undefined ? "" : `; the first: ${firstBad.code} ${firstBad.message ?? ""}`.trimEnd();
  return resultOf(plan, {
    verdict,
    observed: known === 0 ? "unknown" : formatShare((known - bad) / known),
    bound,
    trials: calls.length,
    message: `${bad} of ${calls.length} calls of ${service} ${wrongly}${doubtOf(unknown)}${why}`,
    brokenAtUs: verdict === "fail" ? firstBad?.dueUs : undefined,
  });
}
