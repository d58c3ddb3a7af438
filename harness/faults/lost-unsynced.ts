import { loseAWrite, lostWrites } from "./disks.ts";
import type { FaultKind } from "./fault.ts";

/**
 * The power goes when what was written is still in the disk's cache: none of it is there afterwards; with `for` the process is started
 * again.
 */
export const lostUnsynced: FaultKind = {
  primitives: ["disk.break", "node.kill", "node.restart"],
  shows: "disk",
  apply: (step, fleet) => loseAWrite(step, fleet, { kind: "unsynced" }),
  effect: ({ nodes }, seen) => lostWrites(seen, nodes, ({ before, found }) => found <= before),
};
