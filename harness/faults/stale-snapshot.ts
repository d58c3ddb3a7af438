import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { missedChanges } from "./told.ts";

/** Reads and watches of a service answer these clients what was there when it began: they talk to a replica that has fallen behind. */
export const staleSnapshot: FaultKind<Extract<FaultSpec, { kind: "stale-snapshot" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "stale-snapshot", clients: nodes, service }),
  effect: ({ nodes, fault: { service } }, seen) => missedChanges(seen, { nodes, service }),
};
