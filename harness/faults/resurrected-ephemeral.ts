import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { returnedInstances } from "./told.ts";

/** The registry lists instances that have gone, as an ephemeral node does whose session nobody ended. */
export const resurrectedEphemeral: FaultKind = {
  primitives: ["registry.view"],
  apply: ({ nodes }, fleet) => disturb(fleet, [registryNode], { kind: "resurrected-ephemeral", ids: nodes }),
  effect: ({ nodes }, seen) => returnedInstances(seen, nodes),
};
