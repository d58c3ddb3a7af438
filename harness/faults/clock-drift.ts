import type { FaultSpec } from "../scenario/schema.ts";
import { clocksMoved, skew } from "./clocks.ts";
import type { FaultKind } from "./fault.ts";

/** The wall clock goes faster than it should by the share `rate`, or slower; set right when it is lifted. */
export const clockDrift: FaultKind<Extract<FaultSpec, { kind: "clock-drift" }>> = {
  primitives: ["clock.skew"],
  shows: "clock",
  apply: ({ nodes, fault: { rate } }, fleet) => skew(fleet, nodes, { msPerSecond: rate * 1000 }),
  effect: ({ nodes, fault: { rate } }, seen) =>
    clocksMoved(seen, nodes, (atUs) => ((atUs - seen.orderedUs) / 1000) * rate),
};
