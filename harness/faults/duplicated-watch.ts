import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { repeatedChanges } from "./told.ts";

/** Each change of a service is told to these clients twice. */
export const duplicatedWatch: FaultKind<Extract<FaultSpec, { kind: "duplicated-watch" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "duplicated-watch", clients: nodes, service }),
  effect: ({ nodes, fault: { service } }, seen) => repeatedChanges(seen, { nodes, service }),
};
