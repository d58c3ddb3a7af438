import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { differingLists } from "./told.ts";

/** Each of these clients sees another part of a service, in pushes and in reads, as when the registry's replicas have parted. */
export const divergingViews: FaultKind<Extract<FaultSpec, { kind: "diverging-views" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "diverging-views", clients: nodes, service }),
  effect: ({ nodes, fault: { service } }, seen) => differingLists(seen, { nodes, service }),
};
