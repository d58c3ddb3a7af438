import type { CallRecord, History } from "../history/history.ts";
import { windowUs, type Window } from "../scenario/durations.ts";

/** A part of the load's time, as a check states it. */
export interface When {
  readonly during?: string | undefined;
  readonly outside?: string | undefined;
}

/** Whose calls a check is about. */
export interface Whose {
  /** Only those that nodes of this service make. */
  readonly from?: string | undefined;
  /** Only those that ask for this lane; "-" stands for none. */
  readonly lane?: string | undefined;
}

/** " from vip", " in gray": for names of checks. */
export function whoseName({ from, lane }: Whose): string {
  return `${from === undefined ? "" : ` from ${from}`}${lane === undefined ? "" : ` in ${lane}`}`;
}

/** The load's calls of one service, by due time within the part. Warm-up is before 0 and never counts, nor do redeliveries. */
export function callsOf(history: History, service: string, when: When & Whose = {}): CallRecord[] {
  const parts = partsOf(when, history.run.durationUs);
  const { from, lane } = when;
  return history.calls.filter(
    (call) =>
      call.service === service &&
      call.redelivers === undefined &&
      (from === undefined || call.node.startsWith(`${from}/`)) &&
      (lane === undefined || (call.tag ?? "-") === lane) &&
      isIn(parts, call.dueUs),
  );
}

/** The stretches of the load that make up the part, in order. */
export function partsOf({ during, outside }: When, durationUs: number): readonly Window[] {
  const whole = { fromUs: 0, toUs: durationUs };
  const inside = during === undefined ? whole : windowUs(during);
  const hole = outside === undefined ? { fromUs: durationUs, toUs: durationUs } : windowUs(outside);
  return [
    { fromUs: inside.fromUs, toUs: Math.min(inside.toUs, hole.fromUs, durationUs) },
    { fromUs: Math.max(inside.fromUs, hole.toUs), toUs: Math.min(inside.toUs, durationUs) },
  ].filter(({ fromUs, toUs }) => fromUs < toUs);
}

/** Whether a moment is in one of the stretches. */
export function isIn(stretches: readonly Window[], atUs: number): boolean {
  return stretches.some(({ fromUs, toUs }) => atUs >= fromUs && atUs < toUs);
}

/** Stretches in the order of their beginnings, those that overlap as one. */
export function joined(stretches: readonly Window[]): readonly Window[] {
  const joint: Window[] = [];
  for (const stretch of stretches.toSorted((a, b) => a.fromUs - b.fromUs)) {
    const last = joint.at(-1);
    if (last === undefined || stretch.fromUs > last.toUs) joint.push(stretch);
    else joint[joint.length - 1] = { fromUs: last.fromUs, toUs: Math.max(last.toUs, stretch.toUs) };
  }
  return joint;
}

/** How the outcome of a call counts: `unknown` when its end was never recorded, as of a caller that was killed. */
export function outcomeOf(call: CallRecord): "ok" | "failed" | "unknown" {
  if (call.code === undefined) return "unknown";
  return call.code === "OK" ? "ok" : "failed";
}
