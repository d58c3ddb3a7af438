import { durationUs, fractionOf } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { disturb } from "./disturb.ts";
import { slowedAttempts, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** The registry is overloaded: every call takes `delay` longer, and a share of them fails UNAVAILABLE. */
export const brownOut: FaultKind<Extract<FaultSpec, { kind: "brown-out" }>> = {
  primitives: ["registry.slow"],
  apply: ({ nodes, fault: { delay, errorRate } }, fleet) =>
    disturb(fleet, nodes, {
      kind: "brown-out",
      delayMs: durationUs(delay) / 1000,
      errorRate: fractionOf(errorRate ?? 0),
    }),
  effect: ({ nodes, fault: { delay } }, seen) =>
    slowedAttempts(seen, towards(nodes), (usualUs) => usualUs + durationUs(delay) / 2),
};
