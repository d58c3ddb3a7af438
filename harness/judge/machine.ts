import type { History } from "../history/history.ts";
import type { StepRecord } from "../history/record.ts";
import { formatDuration, type Window } from "../scenario/durations.ts";
import { lagIn } from "./outcome.ts";

// What a run in real time says of the machine that it was on: no fleet can be blamed for that.

/** A quiet machine of two cores starts a node in 0.2 to 0.9 s (µs). One that takes longer has no time for it. */
const slowStartUs = 1_000_000;
/** So long after a node listens its callers know of it and have dialled (µs). */
const foundWithinUs = 1_000_000;

/**
 * Nodes that the timeline had start again, and that weren't there for more than a second, or hadn't been found yet, in a part of the load:
 * whatever was expected of a whole fleet then, the fleet wasn't whole. Undefined where there was none, and in `sim`.
 */
export function slowStartIn(history: History, parts: readonly Window[]): string | undefined {
  const slow = startsOf(history).filter(
    ({ orderedUs, listeningUs }) =>
      listeningUs - orderedUs > slowStartUs &&
      parts.some(({ fromUs, toUs }) => orderedUs + slowStartUs < toUs && listeningUs + foundWithinUs > fromUs),
  );
  if (slow.length === 0) return undefined;
  const { node, orderedUs, listeningUs } = slow.reduce((worst, one) =>
    one.listeningUs - one.orderedUs > worst.listeningUs - worst.orderedUs ? one : worst,
  );
  const took = Math.min(listeningUs, history.end?.atUs ?? Infinity) - orderedUs;
  const shown = formatDuration(Math.round(took / 100_000) * 100_000);
  return listeningUs === Infinity ? `${node} hadn't started after ${shown}` : `${node} took ${shown} to start again`;
}

interface Start {
  readonly node: string;
  readonly orderedUs: number;
  /** Infinity: it never did. */
  readonly listeningUs: number;
}

function startsOf({ run, phases, steps }: History): readonly Start[] {
  if (run.world === "sim") return [];
  const ends = phases
    .filter(({ phase, atUs }) => phase === "stopped" && atUs > 0 && atUs < run.durationUs)
    .map(({ node, atUs }) => ({ node, orderedUs: atUs }));
  const lifts = steps.flatMap(({ what, phase, atUs }) =>
    phase === "lift" && what.kind === "fault" && what.fault.kind === "kill"
      ? what.nodes.map((node) => ({ node, orderedUs: atUs }))
      : [],
  );
  const restarted = new Set(steps.flatMap(({ what }) => (what.kind === "restart" ? what.nodes : [])));
  return [...ends.filter(({ node }) => restarted.has(node)), ...lifts].flatMap(({ node, orderedUs }) => {
    const own = phases.filter((one) => one.node === node && one.phase === "listening");
    // Real servers and programs of other makes don't say how far they are.
    if (own.length === 0) return [];
    return [{ node, orderedUs, listeningUs: own.find(({ atUs }) => atUs > orderedUs)?.atUs ?? Infinity }];
  });
}

/** What the engine of containers is asked for, or the operating system: it takes as long as that takes, and no longer by nature. */
const byEngine: ReadonlySet<string> = new Set(["kill", "pause", "disconnect"]);
/** A fault of these that takes longer than this to come or to go is late (µs): a quiet engine takes a twentieth of a second. */
const lateFaultUs = 150_000;

/**
 * The fault that took longest to come or to go, where that is long and a part of the load has to do with it: to kill or to pause a
 * container, and to let it go on, takes a busy engine hundreds of milliseconds, in which the fleet isn't as planned. Undefined where there
 * was none, and in `sim`.
 */
export function lateFaultIn({ run, steps }: History, parts: readonly Window[]): string | undefined {
  if (run.world === "sim") return undefined;
  const late = steps.flatMap(({ index, what, phase, atUs }) => {
    if (what.kind !== "fault" || !byEngine.has(what.fault.kind)) return [];
    // Whoever was killed is another matter: to start takes its time.
    if (phase !== "apply" && (phase !== "lift" || what.fault.kind === "kill")) return [];
    const doneUs = whenDone(steps, { index, phase });
    if (doneUs === undefined) return [];
    const isFelt = parts.some(({ fromUs, toUs }) => fromUs < doneUs + foundWithinUs && toUs > atUs);
    return isFelt ? [{ phase, kind: what.fault.kind, tookUs: doneUs - atUs }] : [];
  });
  const worst = late.reduce((longest, one) => (one.tookUs > longest.tookUs ? one : longest), {
    phase: "",
    kind: "",
    tookUs: 0,
  });
  if (worst.tookUs <= lateFaultUs) return undefined;
  return `${worst.phase === "apply" ? "the" : "the end of the"} ${worst.kind} took ${inMs(worst.tookUs)}`;
}

/** When what was begun with this record had been done. */
const whenDone = (steps: History["steps"], { index, phase }: Pick<StepRecord, "index" | "phase">): number | undefined =>
  steps.find((step) => step.index === index && step.phase === (phase === "apply" ? "applied" : "lifted"))?.atUs;

const inMs = (us: number): string => formatDuration(Math.round(us / 1000) * 1000);

/** A rule's publication that isn't answered for longer than this is late (µs): a quiet config centre takes a tenth of a second. */
const latePublishUs = 500_000;
/** A part of the load that begins so long after a publication (µs) has other rules than those of a late one to thank for what it is. */
const ruledWithinUs = 5_000_000;

/**
 * Why a rule that the timeline published may have come late to a part of the load that is about it: its config centre was late itself, or
 * nothing on the machine was in time. Undefined where neither is so, and in `sim`.
 */
export function latePublishIn(history: History, parts: readonly Window[]): string | undefined {
  const { run, steps } = history;
  if (run.world === "sim") return undefined;
  for (const { index, what, phase, atUs } of steps) {
    if (what.kind !== "publish" || phase !== "apply") continue;
    if (!parts.some(({ fromUs, toUs }) => fromUs < atUs + ruledWithinUs && toUs > atUs)) continue;
    const answeredUs = whenDone(steps, { index, phase });
    if (answeredUs === undefined) continue;
    const tookUs = answeredUs - atUs;
    if (tookUs > latePublishUs)
      return `to publish the rule took ${formatDuration(Math.round(tookUs / 100_000) * 100_000)}`;
    const during = { fromUs: atUs, toUs: answeredUs + ruledWithinUs };
    const lagUs = lagIn(history, during);
    const why = busyness(history) ?? (lagUs > ruleLagUs ? ranLate(lagUs) : undefined);
    if (why !== undefined) return `the rule may have come late: ${why}`;
  }
  return undefined;
}

/** A rule goes through several programs, one after the other: each of them may run as late as this (µs) before anybody notices. */
const ruleLagUs = 100_000;

export const ranLate = (lagUs: number): string => `the machine ran up to ${inMs(lagUs)} late`;

/** Below this share of its time that the processors had nothing to do, every program waits for every other. */
const idleMin = 0.05;

/** Whether the machine had no time to spare while the load lasted: then everything took longer, of which no prediction knows. */
export function busyness({ harnessCpu }: History): string | undefined {
  if (harnessCpu?.idleUs === undefined || harnessCpu.idleUs >= idleMin * harnessCpu.ofUs) return undefined;
  return `the processors were busy ${Math.floor(100 * (1 - harnessCpu.idleUs / harnessCpu.ofUs))}% of the time`;
}
