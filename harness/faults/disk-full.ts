import { breakDisks, refusedWrites } from "./disks.ts";
import type { FaultKind } from "./fault.ts";

/** No space is left on the disk: whatever is to be added to a file is refused, and what is there stays. */
export const diskFull: FaultKind = {
  primitives: ["disk.break"],
  shows: "disk",
  apply: ({ nodes }, fleet) => breakDisks(fleet, nodes, { kind: "full" }),
  effect: ({ nodes }, seen) => refusedWrites(seen, nodes),
};
