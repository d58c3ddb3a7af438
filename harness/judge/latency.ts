import { durationUs, formatDuration, fractionOf } from "../scenario/durations.ts";
import type { CallRecord } from "../history/history.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import type { CheckKind } from "./check.ts";
import { despiteLag, judgeBad, nothingToJudge, percent, requirePower, resultOf, timingFalseAlarm } from "./outcome.ts";
import { callsOf, plannedCalls } from "./select.ts";
import { quantile } from "./statistics.ts";

/**
 * A percentile of the time from when a call was due to its end: no more than 1 - percentile of the calls are slower than the
 * bound. Calls that failed count as slow, however fast they failed.
 */
export const latency: CheckKind<Extract<CheckSpec, { check: "latency" }>> = {
  plan: (spec, context) => {
    const name = `${spec.service} p${spec.percentile} ≤ ${formatDuration(durationUs(spec.atMost))}`;
    const trials = plannedCalls(context, spec.service, spec).length;
    requirePower(name, context, trials, { p: 1 - spec.percentile / 100, p1: fractionOf(spec.detects) });
    return {
      check: spec,
      name,
      phase: spec.phase ?? "safety",
      expectedTrials: trials,
      falseAlarm: timingFalseAlarm(context.world),
      detects: `${percent(fractionOf(spec.detects))} slower`,
    };
  },
  judge: (plan, history) => {
    const { service, percentile, atMost } = plan.check;
    const boundUs = durationUs(atMost);
    const bound = `≤ ${formatDuration(boundUs)}`;
    const calls = callsOf(history, service, plan.check);
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));
    const { verdict, bad } = judgeBad(calls, (call) => timeOf(call) > boundUs, 1 - percentile / 100);
    const observedUs = quantile(
      calls.map(timeOf).sort((a, b) => a - b),
      percentile / 100,
    );
    const first = calls.find((call) => timeOf(call) > boundUs);
    return resultOf(
      plan,
      despiteLag(
        {
          verdict,
          observed: observedUs === Infinity ? "failed" : formatDuration(Math.ceil(observedUs / 1000) * 1000),
          bound,
          trials: calls.length,
          message: `${bad} of ${calls.length} calls of ${service} took longer than ${formatDuration(boundUs)} or failed`,
          brokenAtUs: verdict === "fail" ? first?.dueUs : undefined,
        },
        history,
        boundUs,
        calls[0]!.dueUs,
        calls.at(-1)!.dueUs,
      ),
    );
  },
};

/** From when the call was due; Infinity for one that failed. */
export function timeOf(call: CallRecord): number {
  return call.code === "OK" ? call.endUs - call.dueUs : Infinity;
}
