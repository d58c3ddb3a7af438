import type { DiskFault } from "../../services/faulty-disk.ts";
import type { History } from "../history/history.ts";
import type { RunningFleet } from "../worlds/world.ts";
import type { Effect, FaultStep, Observation } from "./fault.ts";
import type { Lift } from "./links.ts";
import { each, restart } from "./nodes.ts";

/** Breaks the disks of these nodes; the answer mends them. */
export async function breakDisks(fleet: RunningFleet, nodes: readonly string[], fault: DiskFault): Promise<Lift> {
  const lifts = await Promise.all(nodes.map((id) => fleet.nodes.get(id)!.breakDisk(fault)));
  return async () => {
    await Promise.all(lifts.map((lift) => lift()));
  };
}

/** The power goes while something is being written, and with it the process; the answer starts it again, on what is left. */
export async function loseAWrite({ nodes }: FaultStep, fleet: RunningFleet, fault: DiskFault): Promise<Lift> {
  await each(fleet, nodes, async (node) => {
    const mend = await node.breakDisk(fault);
    await node.kill();
    await mend();
  });
  return () => restart(fleet, nodes);
}

type DiskUse = History["disks"][number];

/** For disks that take nothing: appends fail while it lasts, none is done, and none failed before. */
export function refusedWrites({ history, orderedUs, fromUs, toUs }: Observation, nodes: readonly string[]): Effect {
  const appends = usesOf(history, nodes).filter(({ operation }) => operation === "append");
  // One that was under way already found room.
  const during = appends.filter(({ atUs, tookUs = 0 }) => atUs - tookUs >= fromUs && atUs < toUs);
  const failed = during.filter(({ state, code }) => state === "failed" && code === "FULL").length;
  const done = during.filter(({ state }) => state === "done").length;
  const before = appends.filter(({ state, atUs }) => state === "failed" && atUs < orderedUs).length;
  const evidence = `${failed} writes were refused for want of space while it lasted, ${done} were done, ${before} failed before`;
  if (failed > 0 && done === 0 && before === 0) return { effect: "confirmed", evidence };
  // Who wrote nothing wanted no space.
  return { effect: failed === 0 ? "none" : "inconclusive", evidence };
}

/** For slow disks: every use takes longer by over half of the delay than it usually did, before or on other nodes. */
export function slowedUses(seen: Observation, nodes: readonly string[], delayUs: number): Effect {
  const { history, orderedUs, fromUs, toUs, control } = seen;
  const isEnded = ({ state }: DiskUse): boolean => state !== "begun";
  const own = usesOf(history, nodes).filter(isEnded);
  // Who began before the fault was spared.
  const during = own.filter(({ atUs, tookUs = 0 }) => atUs - tookUs >= fromUs && atUs < toUs);
  const others = history.disks.filter((use) => isEnded(use) && !nodes.includes(use.node));
  const usual =
    control !== undefined
      ? usesOf(control, nodes).filter(isEnded)
      : [...own.filter(({ atUs }) => atUs < orderedUs), ...others];
  if (during.length === 0) return { effect: "none", evidence: "nobody used the disk while it lasted" };
  if (usual.length === 0) return { effect: "inconclusive", evidence: "nobody used a disk at any other time" };
  const times = usual.map(({ tookUs = 0 }) => tookUs).sort((a, b) => a - b);
  const limitUs = times[Math.floor(times.length / 2)]! + delayUs / 2;
  const [slow, usuallySlow] = [during, usual].map(
    (uses) => uses.filter(({ tookUs = 0 }) => tookUs > limitUs).length,
  ) as [number, number];
  const evidence = `${slow} of ${during.length} uses took over ${Math.round(limitUs / 1000)} ms while it lasted, ${usuallySlow} of ${usual.length} others`;
  // A busy machine's disk is slow now and then.
  if (slow === during.length && usuallySlow * 10 <= usual.length) return { effect: "confirmed", evidence };
  return { effect: slow * 2 < during.length ? "none" : "inconclusive", evidence };
}

/** What was to be written, and what of it the next life of the node found. */
export interface Loss {
  /** The file's length before, and what should have been added to it. */
  readonly before: number;
  readonly bytes: number;
  /** What is there now. */
  readonly found: number;
}

/** For writes that are lost on the way: of each node, the last append before its end, and the length of its file in its next life. */
export function lostWrites(
  { history, orderedUs, fromUs }: Observation,
  nodes: readonly string[],
  isLost: (loss: Loss) => boolean,
): Effect {
  const found = nodes.flatMap((node) => {
    const uses = usesOf(history, [node]);
    const isIn = ({ atUs }: DiskUse): boolean => atUs >= orderedUs && atUs <= fromUs;
    const last = uses.findLast((use) => use.operation === "append" && use.state === "begun" && isIn(use));
    const read = uses.find(
      ({ operation, file, state, atUs }) =>
        operation === "read" && state === "done" && file === last?.file && atUs > fromUs,
    );
    if (last?.bytes === undefined || last.length === undefined || read?.length === undefined) return [];
    return [{ file: last.file, before: last.length, bytes: last.bytes, found: read.length }];
  });
  const lost = found.filter(isLost).length;
  const evidence =
    found
      .map(({ file, before, bytes, found: now }) => `${file}: ${bytes} bytes after ${before}, ${now} found afterwards`)
      .join("; ") || "nothing that was being written was read again";
  if (lost === nodes.length) return { effect: "confirmed", evidence };
  return { effect: lost === 0 && found.length > 0 ? "none" : "inconclusive", evidence };
}

const usesOf = ({ disks }: History, nodes: readonly string[]): readonly DiskUse[] =>
  disks.filter(({ node }) => nodes.includes(node));
