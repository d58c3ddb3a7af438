import { availableParallelism } from "node:os";

import { ownFileOf, type Plan } from "../scenario/plan.ts";
import { isTouched } from "../worlds/infrastructure.ts";

/**
 * Runs in real time side by side, where that doesn't disturb them. What disturbs a run is a fleet that starts, ends or is judged
 * beside it: that takes whole processors, a load of some hundred calls a second takes a tenth of one. So a round's fleets start
 * together, their loads begin when all are warm, and none ends before all loads are through. What the machine did to a run all the
 * same is measured as ever: it is inconclusive then, and repeated by itself.
 */
export const roundSizeMax = 4;

/** What all runs of a round have together, at most: calls in the busiest second, and processes. They take a third of two processors. */
const room = { calls: 660, processes: 27 };
/** What a run may have of it that isn't alone. */
const most = { calls: 240, processes: 12 };
/** All of a round's room. */
const alone = 1;
/** Faults that take the processor itself: whoever is beside them would feel it. */
const heavyFaults: ReadonlySet<string> = new Set(["slow-cpu", "event-loop-block"]);

/** What a run of the plan takes of a round's room, above 0 up to 1, on a machine with so many processors: 1 is to be alone. */
export function shareOf(plan: Plan, processors = availableParallelism()): number {
  const calls = busiestSecond(plan);
  const processes = (plan.processes ?? plan.nodes).length;
  const isAlone =
    processors < 2 ||
    plan.world === "sim" ||
    plan.load !== undefined ||
    // What a module of the user's own takes of a processor, nobody knows.
    plan.nodes.some((node) => ownFileOf(node) !== undefined) ||
    calls > most.calls ||
    processes > most.processes ||
    plan.timeline.some(({ what }) => what.kind === "fault" && heavyFaults.has(what.fault.kind)) ||
    harmsServers(plan);
  if (isAlone) return alone;
  // A transaction writes and syncs at every step, and is paced by that: more than two would wait for each other at the disk.
  const ofDisk = plan.coordinator === undefined ? 0 : 1 / 2;
  return Math.max(calls / room.calls, processes / room.processes, ofDisk);
}

/** Whether a server that isn't ours comes to harm: one that starts again takes whole processors, and the loads are on by then. */
const harmsServers = (plan: Plan): boolean =>
  (plan.registry !== "embedded" && isTouched(plan, "registry/0", "config-center/0")) ||
  (plan.coordinator === "seata" && isTouched(plan, "coordinator/0", "database/0"));

/**
 * Who goes together: the first that is left, and of those for whom there is room, in the same world and of the same kind, the ones whose
 * loads are as long as its own.
 */
export function roundsOf<T>(
  items: readonly T[],
  planOf: (item: T) => Plan | undefined,
  kindOf: (item: T) => unknown = () => undefined,
): readonly (readonly T[])[] {
  const shares = new Map<Plan, number>();
  const sized = (item: T): Sized<T> => {
    const plan = planOf(item);
    // Seeds of a scenario have their plan in common.
    if (plan !== undefined && !shares.has(plan)) shares.set(plan, shareOf(plan));
    const share = plan === undefined ? alone : shares.get(plan)!;
    return { item, kind: kindOf(item), world: plan?.world, durationUs: plan?.durationUs ?? 0, share };
  };
  const left = new Set(items.map(sized));
  const rounds: T[][] = [];
  for (const first of left) {
    left.delete(first);
    const round = [first.item];
    let { share } = first;
    while (round.length < roundSizeMax && share < alone) {
      const partner = partnerOf(first, left, share);
      if (partner === undefined) break;
      left.delete(partner);
      round.push(partner.item);
      share += partner.share;
    }
    rounds.push(round);
  }
  return rounds;
}

interface Sized<T> extends Pick<Plan, "durationUs"> {
  readonly item: T;
  readonly kind: unknown;
  readonly world: Plan["world"] | undefined;
  readonly share: number;
}

/** Of those who fit in beside the first one, whose load is nearest to its own in length; of several, who takes most. */
function partnerOf<T>(first: Sized<T>, left: Iterable<Sized<T>>, taken: number): Sized<T> | undefined {
  const distance = ({ durationUs }: Sized<T>): number => Math.abs(durationUs - first.durationUs);
  let best: Sized<T> | undefined;
  for (const other of left) {
    if (other.world !== first.world || other.kind !== first.kind || taken + other.share > alone) continue;
    if (best !== undefined) {
      const isNearer = distance(other) < distance(best);
      const isLarger = distance(other) === distance(best) && other.share > best.share;
      if (!isNearer && !isLarger) continue;
    }
    best = other;
  }
  return best;
}

function busiestSecond({ drives }: Plan): number {
  const calls = new Map<number, number>();
  for (const { dueUs } of drives) {
    for (const atUs of dueUs) {
      const second = Math.floor(atUs / 1_000_000);
      calls.set(second, (calls.get(second) ?? 0) + 1);
    }
  }
  let most = 0;
  for (const count of calls.values()) most = Math.max(most, count);
  return most;
}
