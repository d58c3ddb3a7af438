import { durationUs, formatDuration, formatShare, fractionOf } from "../scenario/durations.ts";
import type { CallRecord } from "../history/history.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { CheckKind } from "./check.ts";
import { despiteLag, doubtOf, judgeBad, nothingToJudge, requirePower, resultOf, timingFalseAlarm } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, partsOf, whoseName } from "./select.ts";
import { quantile } from "./statistics.ts";

/**
 * A percentile of the time from when a call was due to its end: no more than 1 - percentile of the calls are slower than the
 * bound. Calls that failed count as slow, however fast they failed.
 */
export const latency: CheckKind<Extract<CheckSpec, { check: "latency" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} p${spec.percentile} ≤ ${formatDuration(durationUs(spec.atMost))}${whoseName(spec)}`;
    const { expected, atLeast: trials } = plannedCalls(context, spec.service, spec);
    requirePower(
      { name, context, trials, more: spec.during === undefined ? "rate or length" : "rate" },
      { p: 1 - spec.percentile / 100, p1: fractionOf(spec.detects) },
    );
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: expected,
      falseAlarm: timingFalseAlarm(context.world),
      detects: `${formatShare(fractionOf(spec.detects))} slower`,
    };
  },
  judge: (plan, history) => {
    const { service, percentile, atMost } = plan.check;
    const boundUs = durationUs(atMost);
    const bound = `≤ ${formatDuration(boundUs)}`;
    const calls = callsOf(history, service, plan.check);
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
    const isSlow = (call: CallRecord): boolean => timeOf(call) > boundUs;
    const { verdict, bad, unknown } = judgeBad(calls, isSlow, 1 - percentile / 100);
    const ended = calls.filter(({ code }) => code !== undefined);
    const times = ended.map(timeOf).sort((a, b) => a - b);
    const parts = partsOf(plan.check, history.run.durationUs);
    const finding = {
      verdict,
      observed: ended.length === 0 ? "unknown" : describe(quantile(times, percentile / 100)),
      bound,
      trials: calls.length,
      message: `${bad} of ${calls.length} calls of ${service} took longer than ${formatDuration(boundUs)} or failed${doubtOf(unknown)}`,
      brokenAtUs: verdict === "fail" ? ended.find(isSlow)?.dueUs : undefined,
    };
    const during = { fromUs: parts[0]!.fromUs, toUs: parts.at(-1)!.toUs };
    return resultOf(plan, despiteLag(finding, history, boundUs, during));
  },
};

/** Rounded up to milliseconds, so that it doesn't look better than it is. */
function describe(timeUs: number): string {
  return timeUs === Infinity ? "failed" : formatDuration(Math.ceil(timeUs / 1000) * 1000);
}

/** From when the call was due; Infinity for one that failed. */
export function timeOf(call: CallRecord): number {
  return call.code === "OK" ? call.endUs - call.dueUs : Infinity;
}
