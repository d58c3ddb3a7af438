import type { CallRecord, History } from "../history/history.ts";
import { durationUs, formatDuration, formatShare, fractionOf } from "../scenario/durations.ts";
import type { CheckSpec } from "../scenario/schema.ts";
import { falseAlarmMax, type CheckKind } from "./check.ts";
import { doubtOf, exactShare, judgeBad, nothingToJudge, requirePower, resultOf } from "./outcome.ts";
import { plannedCalls } from "./planned.ts";
import { callsOf, whoseName } from "./select.ts";

/**
 * Of all logical calls of a service at least so many were served by an instance (or by every one) in the end: by their own attempts or by
 * redeliveries, within a time from when they were due. What a caller heard doesn't count: failsafe and failback tell it nothing.
 */
export const delivery: CheckKind<Extract<CheckSpec, { check: "delivery" }>> = {
  plan: (spec, context) => {
    const whom = spec.to === "every" ? " to every instance" : "";
    const bound = `${exactShare(fractionOf(spec.atLeast))} within ${formatDuration(durationUs(spec.within))}`;
    const name = `${spec.service} delivered${whom} ≥ ${bound}${whoseName(spec)}`;
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
    const { service, to = "any" } = plan.check;
    const atLeast = fractionOf(plan.check.atLeast);
    const withinUs = durationUs(plan.check.within);
    const bound = `≥ ${exactShare(atLeast)}`;
    const calls = callsOf(history, service, plan.check);
    if (calls.length === 0) return resultOf(plan, nothingToJudge(bound, `call of ${service}`));

    const everyone = history.run.nodes.filter((node) => node.service === service).length;
    const wanted = to === "every" ? everyone : 1;
    const redeliveries = redeliveriesOf(history, service);
    const servedBy = (call: CallRecord): number => {
      const all = [call, ...(redeliveries.get(keyOf(call.node, call.call)) ?? [])].flatMap(({ attempts }) => attempts);
      const inTime = all.filter(({ code, endUs }) => code === "OK" && endUs >= 0 && endUs <= call.dueUs + withinUs);
      return new Set(inTime.map(({ instance }) => instance)).size;
    };
    const endUs = history.end?.atUs ?? Infinity;
    const lost = new Set<CallRecord>();
    const seen = calls.map((call) => {
      if (servedBy(call) >= wanted) return call;
      // Whose time wasn't over when the run ended might still have been served.
      if (call.dueUs + withinUs > endUs) return { ...call, code: undefined };
      lost.add(call);
      return call;
    });
    const { verdict, bad, known, unknown } = judgeBad(seen, (call) => lost.has(call), 1 - atLeast);
    return resultOf(plan, {
      verdict,
      observed: known === 0 ? "unknown" : formatShare((known - bad) / known),
      bound,
      trials: calls.length,
      message: `${bad} of ${calls.length} calls of ${service} weren't served in time${doubtOf(unknown)}`,
      brokenAtUs: verdict === "fail" ? [...lost][0]?.dueUs : undefined,
    });
  },
};

/** The calls that were made for one that had failed, by that one. */
function redeliveriesOf(history: History, service: string): ReadonlyMap<string, readonly CallRecord[]> {
  const byFirst = new Map<string, CallRecord[]>();
  for (const call of history.calls) {
    if (call.redelivers === undefined || call.service !== service) continue;
    const key = keyOf(call.node, call.redelivers);
    const others = byFirst.get(key);
    if (others === undefined) byFirst.set(key, [call]);
    else others.push(call);
  }
  return byFirst;
}

const keyOf = (node: string, call: number): string => `${node} ${call}`;
