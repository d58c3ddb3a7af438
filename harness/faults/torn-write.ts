import type { FaultSpec } from "../scenario/schema.ts";
import { loseAWrite, lostWrites } from "./disks.ts";
import type { FaultKind } from "./fault.ts";

/**
 * The power goes in the middle of the next write: a part of its bytes is on the disk, and the process is gone; with `for` it is started
 * again.
 */
export const tornWrite: FaultKind<Extract<FaultSpec, { kind: "torn-write" }>> = {
  primitives: ["disk.break", "node.kill", "node.restart"],
  shows: "disk",
  apply: (step, fleet) => loseAWrite(step, fleet, { kind: "torn", keep: step.fault.keep ?? 0.5 }),
  effect: ({ nodes }, seen) =>
    lostWrites(seen, nodes, ({ before, bytes, found }) => found > before && found < before + bytes),
};
