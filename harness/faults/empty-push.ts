import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { shorterLists } from "./told.ts";

/** These clients are pushed an empty list of a service whose instances are all well. Reads tell the truth. */
export const emptyPush: FaultKind<Extract<FaultSpec, { kind: "empty-push" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "cut-push", clients: nodes, service, keep: 0 }),
  effect: ({ nodes, fault: { service } }, seen) => shorterLists(seen, { nodes, service }),
};
