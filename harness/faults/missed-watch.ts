import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { missedChanges } from "./told.ts";

/** Changes of a service aren't passed on to these clients; heartbeats are, so that nothing looks broken. Reads tell the truth. */
export const missedWatch: FaultKind<Extract<FaultSpec, { kind: "missed-watch" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "missed-watch", clients: nodes, service }),
  effect: ({ nodes, fault: { service } }, seen) => missedChanges(seen, { nodes, service }),
};
