import type { CallRecord, History } from "../history/history.ts";
import { windowUs } from "../scenario/durations.ts";
import type { CheckContext } from "./check.ts";

/** A part of the load's time, as a check states it. */
export interface When {
  readonly during?: string | undefined;
  readonly outside?: string | undefined;
}

/** The load's calls of one service, by due time within the part. Warm-up is before 0 and never counts. */
export function callsOf(history: History, service: string, when: When = {}): CallRecord[] {
  const isIn = within(when, history.run.durationUs);
  return history.calls.filter((call) => call.service === service && isIn(call.dueUs));
}

/** Whether a moment belongs to the part. */
export function within({ during, outside }: When, durationUs: number): (atUs: number) => boolean {
  const inside = during === undefined ? { fromUs: 0, toUs: durationUs } : windowUs(during);
  const hole = outside === undefined ? { fromUs: 0, toUs: 0 } : windowUs(outside);
  return (atUs) =>
    atUs >= Math.max(0, inside.fromUs) && atUs < inside.toUs && !(atUs >= hole.fromUs && atUs < hole.toUs);
}

/** How the outcome of a call counts: `unknown` when its end was never recorded, as of a caller that was killed. */
export function outcomeOf(call: CallRecord): "ok" | "failed" | "unknown" {
  if (call.code === undefined) return "unknown";
  return call.code === "OK" ? "ok" : "failed";
}

/**
 * Calls that the plan will give a service within a part of the load: those of its consumers, and one for each call of a service
 * that calls it in turn.
 */
export function plannedCalls(context: CheckContext, service: string, when: When = {}): number[] {
  const isIn = within(when, context.durationUs);
  const planned: number[] = [];
  const collect = (target: string, depth: number): void => {
    for (const drive of context.drives) {
      if (calledBy(context, drive.node) === target)
        for (const dueUs of drive.dueUs) if (isIn(dueUs)) planned.push(dueUs);
    }
    if (depth > 8) return;
    for (const [name, spec] of Object.entries(context.scenario.fleet)) {
      if (spec.program === "provider" && spec.calls?.service === target) collect(name, depth + 1);
    }
  };
  collect(service, 0);
  return planned;
}

function calledBy(context: CheckContext, node: string): string | undefined {
  const name = node.slice(0, node.indexOf("/"));
  return context.scenario.fleet[name]?.calls?.service;
}
