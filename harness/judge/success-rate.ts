import { fractionOf, formatShare } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckKind } from "./check.ts";
import { doubtOf, exactShare, judgeBad, nothingToJudge, requirePower, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, outcomeOf, whoseName } from "./select.ts";

/** Of all logical calls of a service at least so many end OK. */
export const successRate: CheckKind<Extract<CheckSpec, { check: "success-rate" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} success ≥ ${exactShare(fractionOf(spec.atLeast))}${whoseName(spec)}`;
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
  },
  judge: (plan, history) => {
    const { service } = plan.check;
    const atLeast = fractionOf(plan.check.atLeast);
    const bound = `≥ ${exactShare(atLeast)}`;
    const calls = callsOf(history, service, plan.check);
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
    const { verdict, bad, known, unknown } = judgeBad(calls, (call) => outcomeOf(call) === "failed", 1 - atLeast);
    const firstBad = calls.find((call) => outcomeOf(call) === "failed");
    const why = firstBad === undefined ? "" : `; the first: ${firstBad.code} ${firstBad.message ?? ""}`.trimEnd();
    return resultOf(plan, {
      verdict,
      observed: known === 0 ? "unknown" : formatShare((known - bad) / known),
      bound,
      trials: calls.length,
      message: `${bad} of ${calls.length} calls of ${service} failed${doubtOf(unknown)}${why}`,
      brokenAtUs: verdict === "fail" ? firstBad?.dueUs : undefined,
    });
  },
};
