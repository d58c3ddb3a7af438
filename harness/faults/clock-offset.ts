import { signedUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { clocksMoved, skew } from "./clocks.ts";
import type { FaultKind } from "./fault.ts";

/** The wall clock is wrong by `by` while it lasts, and right again afterwards; the monotonic clock and its timers go on as they were. */
export const clockOffset: FaultKind<Extract<FaultSpec, { kind: "clock-offset" }>> = {
  primitives: ["clock.skew"],
  shows: "clock",
  apply: ({ nodes, fault: { by } }, fleet) => skew(fleet, nodes, { byMs: signedUs(by) / 1000 }),
  effect: ({ nodes, fault: { by } }, seen) => clocksMoved(seen, nodes, () => signedUs(by) / 1000),
};
