import { signedUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { clocksMoved, skew } from "./clocks.ts";
import type { FaultKind } from "./fault.ts";

/** The wall clock jumps by `by` at one moment, as when somebody sets it or a time server corrects it, and goes on from there. */
export const clockStep: FaultKind<Extract<FaultSpec, { kind: "clock-step" }>> = {
  primitives: ["clock.skew"],
  shows: "clock",
  showsForUs: 1_000_000,
  apply: ({ nodes, fault: { by } }, fleet) => skew(fleet, nodes, { byMs: signedUs(by) / 1000 }),
  effect: ({ nodes, fault: { by } }, seen) => clocksMoved(seen, nodes, () => signedUs(by) / 1000),
};
