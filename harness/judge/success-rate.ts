import { fractionOf } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckKind } from "./check.ts";
import { judgeBad, nothingToJudge, percent, requirePower, resultOf } from "./outcome.ts";
import { callsOf, outcomeOf, plannedCalls } from "./select.ts";

/** Of all logical calls of a service at least so many end OK. */
export const successRate: CheckKind<Extract<CheckSpec, { check: "success-rate" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} success ≥ ${percent(fractionOf(spec.atLeast))}`;
    const trials = plannedCalls(context, spec.service, spec).length;
    requirePower(name, context, trials, { p: 1 - fractionOf(spec.atLeast), p1: 1 - fractionOf(spec.detects) });
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: trials,
      falseAlarm: falseAlarmMax,
      detects: percent(fractionOf(spec.detects)),
    };
  },
  judge: (plan, history) => {
    const { service, atLeast } = plan.check;
    const bound = `≥ ${percent(fractionOf(atLeast))}`;
    const calls = callsOf(history, service, plan.check);
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
    const { verdict, bad, known, unknown } = judgeBad(
      calls,
      (call) => outcomeOf(call) === "failed",
      1 - fractionOf(atLeast),
    );
    const firstBad = calls.find((call) => outcomeOf(call) === "failed");
    const doubt = unknown === 0 ? "" : `, ${unknown} have no known end`;
    const why = firstBad === undefined ? "" : `; the first: ${firstBad.code} ${firstBad.message ?? ""}`.trimEnd();
    return resultOf(plan, {
      verdict,
      observed: percent(known === 0 ? 0 : (known - bad) / known),
      bound,
      trials: calls.length,
      message: `${bad} of ${calls.length} calls of ${service} failed${doubt}${why}`,
      brokenAtUs: verdict === "fail" ? firstBad?.dueUs : undefined,
    });
  },
};
