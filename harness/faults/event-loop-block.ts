import { durationUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { disturb } from "./disturb.ts";
import { slowedAttempts, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** In every `every` the event loop stands still for `block`: no timer, no byte, no heartbeat until it goes on. */
export const eventLoopBlock: FaultKind<Extract<FaultSpec, { kind: "event-loop-block" }>> = {
  primitives: ["node.block"],
  apply: ({ nodes, fault: { block, every } }, fleet) =>
    disturb(fleet, nodes, {
      kind: "blocks",
      blockMs: durationUs(block) / 1000,
      everyMs: durationUs(every ?? "1s") / 1000,
    }),
  // Who arrives in the first three quarters of a block waits for a quarter of it and longer.
  effect: ({ nodes, fault: { block, every } }, seen) =>
    slowedAttempts(
      seen,
      towards(nodes),
      (usualUs) => usualUs + durationUs(block) / 4,
      (durationUs(block) / durationUs(every ?? "1s")) * 0.4,
    ),
};
