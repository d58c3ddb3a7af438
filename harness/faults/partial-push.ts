import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { shorterLists } from "./told.ts";

/** These clients are pushed the first `keep` (a share) of a service's instances only, in the order of their ids. Reads tell the truth. */
export const partialPush: FaultKind<Extract<FaultSpec, { kind: "partial-push" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service, keep } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "cut-push", clients: nodes, service, keep: keep ?? 0.5 }),
  effect: ({ nodes, fault: { service } }, seen) => shorterLists(seen, { nodes, service }),
};
