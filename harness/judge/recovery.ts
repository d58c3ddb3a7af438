import type { CallRecord, History } from "../history/history.ts";
import { ScenarioError } from "../scenario/error.ts";
import { durationUs, formatDuration, fractionOf, type Window } from "../scenario/durations.ts";
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
import { plannedCalls } from "./planned.ts";
import { callsOf, isIn } from "./select.ts";
import { isTooMany } from "./statistics.ts";

type RecoverySpec = Extract<CheckSpec, { check: "recovery" }>;

/** The resolution with which a recovery time is measured. */
const sliceUs = 250_000;
/** A slice counts as bad when its bad calls would surprise a healthy service once in a thousand slices. */
const sliceAlpha = 1e-3;
/** A service that is still unwell: the share of bad calls that a check is sure to find. */
const unwell = 0.5;

/**
 * From `within` after a moment on, the service is well: in every stretch as long as `detects` no more calls fail, or are slower
 * than `atMost`, than it is allowed in good times. A fleet in which half of the calls stay bad for `detects` longer is found.
 */
export const recovery: CheckKind<RecoverySpec> = {
  plan: (spec, context) => {
    const withinUs = durationUs(spec.within);
    const name = `${spec.service} recovers within ${formatDuration(withinUs)} of ${formatDuration(durationUs(spec.after))}`;
    if ((spec.percentile === undefined) !== (spec.atMost === undefined)) {
      throw new ScenarioError(`"${name}" has a percentile without a bound, or a bound without a percentile`, {
        code: "INVALID_SCENARIO",
        hint: 'say both, as in p99Below("300ms"), or neither',
      });
    }
    const stretches = stretchesOf(spec, context.durationUs);
    if (stretches.length === 0) {
      throw new ScenarioError(`"${name}": the load ends before one stretch of ${spec.detects} after the bound`, {
        code: "TOO_FEW_TRIALS",
        hint: "let the load go on for longer",
      });
    }
    const planned = stretches.map((stretch) => plannedCalls(context, spec.service, [stretch]).atLeast);
    requirePower(
      { name, context, trials: Math.min(...planned), more: "rate" },
      { p: allowed(spec), p1: unwell, alpha: falseAlarmMax / stretches.length },
    );
    const watched = { fromUs: stretches[0]!.fromUs, toUs: context.durationUs };
    return {
      check: spec,
      name,
      phase: "recovery",
      expectedTrials: plannedCalls(context, spec.service, [watched]).expected,
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
    const calls = callsOf(history, spec.service).filter(({ dueUs }) => isIn(stretches, dueUs));
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${spec.service} after the bound`));

    const judged = stretches.map((stretch) => {
      const own = calls.filter(({ dueUs }) => isIn([stretch], dueUs));
      const { verdict } = judgeBad(own, (call) => isBad(call, spec), allowed(spec), falseAlarmMax / stretches.length);
      return { verdict, bad: own.filter((call) => isKnownBad(call, spec)).map(({ dueUs }) => dueUs) };
    });
    const failed = judged.filter(({ verdict }) => verdict === "fail").flatMap(({ bad }) => bad);
    const isFailed = failed.length > 0;
    const isInDoubt = judged.some(({ verdict }) => verdict === "inconclusive");
    const measuredUs = recoveryTimeUs(history, spec);
    const after = formatDuration(afterUs);
    const tookUs = isFailed ? Math.max(measuredUs, Math.max(...failed) - afterUs) : measuredUs;
    const finding: Finding = {
      verdict: isFailed ? "fail" : isInDoubt ? "inconclusive" : "pass",
      observed: describe(tookUs),
      bound,
      trials: calls.length,
      message: isFailed
        ? `${spec.service} was still unwell ${describe(Math.max(...failed) - afterUs)} after ${after}`
        : tookUs <= withinUs
          ? `${spec.service} was well from ${tookUs === 0 ? after : `${describe(tookUs)} after ${after}`} on`
          : `${spec.service} had bad calls later than that, too few in any ${formatDuration(durationUs(spec.detects))} to say that it was unwell`,
      brokenAtUs: isFailed ? Math.min(...failed) : undefined,
    };
    // A machine that is late makes calls slow as well as recoveries.
    const boundUs = Math.min(withinUs, spec.atMost === undefined ? Infinity : durationUs(spec.atMost));
    return resultOf(plan, despiteLag(finding, history, boundUs, { fromUs: afterUs, toUs: history.run.durationUs }));
  },
};

function describe(tookUs: number): string {
  if (tookUs === Infinity) return "never";
  return tookUs === 0 ? "at once" : formatDuration(Math.round(tookUs / 1000) * 1000);
}

/** From `after` until the last bad slice is over; 0 when there was none, Infinity when it lasted to the end. */
export function recoveryTimeUs(history: History, spec: RecoverySpec): number {
  const afterUs = durationUs(spec.after);
  const calls = callsOf(history, spec.service);
  let lastBadUs: number | undefined;
  let wasLastSlice = false;
  for (let fromUs = afterUs; fromUs < history.run.durationUs; fromUs += sliceUs) {
    const own = calls.filter(({ dueUs }) => dueUs >= fromUs && dueUs < fromUs + sliceUs);
    const bad = own.filter((call) => isKnownBad(call, spec));
    // One straggler is no outage.
    const isBadSlice = bad.length > 1 && isTooMany(bad.length, own.length, allowed(spec), sliceAlpha);
    // The last that was due: calls that were held up may have been sent in any order.
    if (isBadSlice) lastBadUs = Math.max(...bad.map(({ dueUs }) => dueUs));
    wasLastSlice = isBadSlice;
  }
  if (lastBadUs === undefined) return 0;
  return wasLastSlice ? Infinity : lastBadUs - afterUs;
}

/** One after the other; where a rest is left, one more that ends with the load. */
function stretchesOf(spec: RecoverySpec, lengthUs: number): readonly Window[] {
  const stretchUs = durationUs(spec.detects);
  const stretches: Window[] = [];
  let fromUs = durationUs(spec.after) + durationUs(spec.within);
  for (; fromUs + stretchUs <= lengthUs; fromUs += stretchUs) stretches.push({ fromUs, toUs: fromUs + stretchUs });
  if (stretches.length > 0 && fromUs < lengthUs) stretches.push({ fromUs: lengthUs - stretchUs, toUs: lengthUs });
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

function isKnownBad(call: CallRecord, spec: RecoverySpec): boolean {
  return call.code !== undefined && isBad(call, spec);
}
