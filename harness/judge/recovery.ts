import type { CallRecord, History } from "../history/history.ts";
import { ScenarioError } from "../scenario/error.ts";
import { durationUs, formatDuration, fractionOf } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckKind } from "./check.ts";
import {
  despiteLag,
  judgeBad,
  nothingToJudge,
  requirePower,
  resultOf,
  timingFalseAlarm,
  type Finding,
} from "./outcome.ts";
import { timeOf } from "./latency.ts";
import { callsOf, plannedCalls } from "./select.ts";
import { isTooMany } from "./statistics.ts";

type RecoverySpec = Extract<CheckSpec, { check: "recovery" }>;

/** The resolution with which a recovery time is measured. */
const sliceUs = 250_000;
/** A slice counts as bad when its bad calls would surprise a healthy service once in a thousand slices. */
const sliceAlpha = 1e-3;

/**
 * From `within` after a moment on, the service is well: in every stretch as long as `detects` no more calls fail, or are slower
 * than `atMost`, than it is allowed in good times. A fleet in which half of the calls stay bad for `detects` longer is found.
 */
export const recovery: CheckKind<RecoverySpec> = {
  plan: (spec, context) => {
    const withinUs = durationUs(spec.within);
    const name = `${spec.service} recovers within ${formatDuration(withinUs)} of ${formatDuration(durationUs(spec.after))}`;
    const stretches = stretchesOf(spec, context.durationUs);
    if (stretches.length === 0) {
      throw new ScenarioError(`"${name}": the load ends before one stretch of ${spec.detects} after the bound`, {
        code: "TOO_FEW_TRIALS",
        hint: "let the load go on for longer",
      });
    }
    const due = plannedCalls(context, spec.service);
    const calls = stretches.map(({ fromUs, toUs }) => due.filter((atUs) => atUs >= fromUs && atUs < toUs).length);
    const alpha = falseAlarmMax / stretches.length;
    requirePower(name, context, Math.min(...calls), { p: allowed(spec), p1: 0.5, alpha });
    return {
      check: spec,
      name,
      phase: "recovery",
      expectedTrials: calls.reduce((sum, one) => sum + one, 0),
      falseAlarm: timingFalseAlarm(context.world),
      detects: `${formatDuration(durationUs(spec.detects))} longer`,
    };
  },
  judge: (plan, history) => {
    const spec = plan.check;
    const withinUs = durationUs(spec.within);
    const afterUs = durationUs(spec.after);
    const bound = `within ${formatDuration(withinUs)}`;
    const stretches = stretchesOf(spec, history.run.durationUs);
    const calls = callsOf(history, spec.service);
    const alpha = falseAlarmMax / Math.max(1, stretches.length);
    let trials = 0;
    let brokenAtUs: number | undefined;
    let isInDoubt = false;
    for (const { fromUs, toUs } of stretches) {
      const own = calls.filter(({ dueUs }) => dueUs >= fromUs && dueUs < toUs);
      trials += own.length;
      const { verdict } = judgeBad(own, (call) => isBad(call, spec), allowed(spec), alpha);
      if (verdict === "fail") brokenAtUs ??= own.find((call) => isBad(call, spec))?.dueUs;
      if (verdict === "inconclusive") isInDoubt = true;
    }
    if (trials === 0) return resultOf(plan, nothingToJudge(bound, `call of ${spec.service} after the bound`));
    const tookUs = recoveryTimeUs(history, spec);
    const finding: Finding = {
      verdict: brokenAtUs !== undefined ? "fail" : isInDoubt ? "inconclusive" : "pass",
      observed: tookUs === Infinity ? "never" : formatDuration(Math.round(tookUs / 1000) * 1000),
      bound,
      trials,
      message:
        brokenAtUs === undefined
          ? `${spec.service} was well from ${formatDuration(Math.round(Math.min(tookUs, withinUs) / 1000) * 1000)} after the fault on`
          : `${spec.service} was still unwell ${formatDuration(Math.round((brokenAtUs - afterUs) / 1000) * 1000)} after ${spec.after}`,
      brokenAtUs,
    };
    return resultOf(plan, despiteLag(finding, history, withinUs, afterUs, history.run.durationUs));
  },
};

/** From `after` until the last bad slice is over; 0 when there was none, Infinity when it lasted to the end. */
export function recoveryTimeUs(history: History, spec: RecoverySpec): number {
  const afterUs = durationUs(spec.after);
  const calls = callsOf(history, spec.service);
  let lastBadUs: number | undefined;
  let wasLastSlice = false;
  for (let fromUs = afterUs; fromUs < history.run.durationUs; fromUs += sliceUs) {
    const own = calls.filter(({ dueUs }) => dueUs >= fromUs && dueUs < fromUs + sliceUs);
    const bad = own.filter((call) => isBad(call, spec));
    // One straggler is no outage.
    const isBadSlice = bad.length > 1 && isTooMany(bad.length, own.length, allowed(spec), sliceAlpha);
    if (isBadSlice) lastBadUs = bad.at(-1)!.dueUs;
    wasLastSlice = isBadSlice;
  }
  if (lastBadUs === undefined) return 0;
  return wasLastSlice ? Infinity : lastBadUs - afterUs;
}

function stretchesOf(spec: RecoverySpec, lengthUs: number): { readonly fromUs: number; readonly toUs: number }[] {
  const stretchUs = durationUs(spec.detects);
  const stretches: { fromUs: number; toUs: number }[] = [];
  for (
    let fromUs = durationUs(spec.after) + durationUs(spec.within);
    fromUs + stretchUs <= lengthUs;
    fromUs += stretchUs
  ) {
    stretches.push({ fromUs, toUs: fromUs + stretchUs });
  }
  return stretches;
}

/** The share of bad calls that good times allow. */
function allowed(spec: RecoverySpec): number {
  const failed = 1 - fractionOf(spec.atLeast ?? 0.99);
  const slow = spec.percentile === undefined ? 0 : 1 - spec.percentile / 100;
  return Math.min(1, failed + slow);
}

function isBad(call: CallRecord, spec: RecoverySpec): boolean {
  return spec.atMost === undefined ? call.code !== "OK" : timeOf(call) > durationUs(spec.atMost);
}
