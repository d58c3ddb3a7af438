import type { History } from "../history/history.ts";
import { formatDuration, type Window } from "../scenario/durations.ts";

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

/** A fault that takes longer than this to come or to go is late (µs): a quiet engine takes a twentieth of a second. */
const lateFaultUs = 150_000;

/**
 * The fault that took longest to come or to go, where that is long: to kill or to pause a container, and to let it go on, takes a busy engine
 * hundreds of milliseconds, in which the fleet isn't as planned. Undefined where there was none, and in `sim`.
 */
export function lateFaultIn({ run, steps }: History): string | undefined {
  if (run.world === "sim") return undefined;
  const late = steps.flatMap(({ index, what, phase, atUs }) => {
    // Whoever was killed is another matter: to start takes its time.
    if (what.kind !== "fault" || (phase === "lift" && what.fault.kind === "kill")) return [];
    if (phase !== "apply" && phase !== "lift") return [];
    const done = steps.find(
      (step) => step.index === index && step.phase === (phase === "apply" ? "applied" : "lifted"),
    );
    return done === undefined ? [] : [{ phase, kind: what.fault.kind, tookUs: done.atUs - atUs }];
  });
  const worst = late.reduce((longest, one) => (one.tookUs > longest.tookUs ? one : longest), {
    phase: "",
    kind: "",
    tookUs: 0,
  });
  if (worst.tookUs <= lateFaultUs) return undefined;
  return `${worst.phase === "apply" ? "the" : "the end of the"} ${worst.kind} took ${formatDuration(Math.round(worst.tookUs / 1000) * 1000)}`;
}

/** Below this share of its time that the processors had nothing to do, every program waits for every other. */
const idleMin = 0.05;

/** Whether the machine had no time to spare while the load lasted: then everything took longer, of which no prediction knows. */
export function busyness({ harnessCpu }: History): string | undefined {
  if (harnessCpu?.idleUs === undefined || harnessCpu.idleUs >= idleMin * harnessCpu.ofUs) return undefined;
  return `the processors were busy ${Math.floor(100 * (1 - harnessCpu.idleUs / harnessCpu.ofUs))}% of the time`;
}
