import { availableParallelism } from "node:os";

import { ownFileOf, type Plan } from "../scenario/plan.ts";

/**
 * Runs in real time side by side, where that doesn't disturb them. What disturbs a run is a fleet that starts, ends or is judged
 * beside it: that takes whole processors, a load of some hundred calls a second takes a tenth of one. So a round's fleets start
 * together, their loads begin when all are warm, and none ends before all loads are through. What the machine did to a run all the
 * same is measured as ever: it is inconclusive then, and repeated by itself.
 */
export const roundSizeMax = 2;

/** Calls in the busiest second of a load that leaves room for another one's. */
const callsMax = 220;
/** Processes of a fleet that leaves room for another one. */
const processesMax = 9;
/** Faults that take the processor itself: whoever is beside them would feel it. */
const heavyFaults: ReadonlySet<string> = new Set(["slow-cpu", "event-loop-block"]);

/** Whether a run of the plan leaves room for another one beside it, on a machine with so many processors. */
export function isQuiet(plan: Plan, processors = availableParallelism()): boolean {
  return (
    plan.world !== "sim" &&
    plan.load === undefined &&
    // Nobody's servers but ours: those take processor time of their own, and some start one for each run.
    (plan.world === "local" || isServedByItself(plan)) &&
    // A transaction writes and syncs at every step, and its run is paced by that.
    plan.coordinator === undefined &&
    processors >= roundSizeMax &&
    // What a module of the user's own takes of a processor, nobody knows.
    plan.nodes.every((node) => ownFileOf(node) === undefined) &&
    (plan.processes ?? plan.nodes).length <= processesMax &&
    busiestSecond(plan) <= callsMax &&
    !plan.timeline.some(({ what }) => what.kind === "fault" && heavyFaults.has(what.fault.kind))
  );
}

/** Containers of our own programs, and nothing else. */
const isServedByItself = ({ nodes, registry, tracing, isScraped }: Plan): boolean =>
  registry === "embedded" && tracing === undefined && !isScraped && nodes.every(({ foreign }) => foreign === undefined);

/**
 * Who goes together: the first that is left, and of those that leave room in the same world the one whose load is as long as its own.
 */
export function roundsOf<T>(items: readonly T[], planOf: (item: T) => Plan | undefined): readonly (readonly T[])[] {
  const quiet = items.filter((item) => {
    const plan = planOf(item);
    return plan !== undefined && isQuiet(plan);
  });
  const lengthOf = (item: T): number => planOf(item)!.durationUs;
  const worldOf = (item: T): Plan["world"] => planOf(item)!.world;
  const placed = new Set<T>();
  const rounds: T[][] = [];
  for (const item of items) {
    if (placed.has(item)) continue;
    const round = [item];
    placed.add(item);
    while (quiet.includes(item) && round.length < roundSizeMax) {
      const distance = (other: T): number => Math.abs(lengthOf(other) - lengthOf(item));
      const left = quiet.filter((other) => !placed.has(other) && worldOf(other) === worldOf(item));
      const [partner] = left.toSorted((a, b) => distance(a) - distance(b));
      if (partner === undefined) break;
      round.push(partner);
      placed.add(partner);
    }
    rounds.push(round);
  }
  return rounds;
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
