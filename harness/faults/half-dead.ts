import { disturb } from "./disturb.ts";
import { lostSuccesses, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** Calls are accepted and never answered, while health checks and the registry's heartbeats go on. */
export const halfDead: FaultKind = {
  primitives: ["node.hang"],
  apply: ({ nodes }, fleet) => disturb(fleet, nodes, { kind: "half-dead" }),
  effect: ({ nodes }, seen) => lostSuccesses(seen, towards(nodes)),
};
