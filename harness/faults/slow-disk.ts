import { durationUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { breakDisks, slowedUses } from "./disks.ts";
import type { FaultKind } from "./fault.ts";

/** Whatever is asked of the disk takes `delay` longer, one thing after the other. */
export const slowDisk: FaultKind<Extract<FaultSpec, { kind: "slow-disk" }>> = {
  primitives: ["disk.break"],
  shows: "disk",
  apply: ({ nodes, fault: { delay } }, fleet) =>
    breakDisks(fleet, nodes, { kind: "slow", delayMs: durationUs(delay) / 1000 }),
  effect: ({ nodes, fault: { delay } }, seen) => slowedUses(seen, nodes, durationUs(delay)),
};
