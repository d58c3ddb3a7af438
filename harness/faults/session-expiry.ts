import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { lostSessions } from "./told.ts";

/** The registry ends the sessions of its clients at one moment, as if they had been silent; their instances go with them. */
export const sessionExpiry: FaultKind = {
  primitives: ["registry.session"],
  apply: ({ nodes }, fleet) => disturb(fleet, [registryNode], { kind: "session-expiry", clients: nodes }),
  effect: ({ nodes }, seen) => lostSessions(seen, nodes),
};
