import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { lostSessions } from "./told.ts";

/**
 * The registry ends the sessions of its clients at one moment, as if they had been silent; their instances go with them. One that isn't
 * ours can't be told to: there each client's session is ended from a second connection that has its id and password.
 */
export const sessionExpiry: FaultKind = {
  primitives: ["registry.session"],
  apply: ({ nodes, isRegistryForeign }, fleet) =>
    isRegistryForeign === true
      ? disturb(fleet, nodes, { kind: "own-session-expiry" })
      : disturb(fleet, [registryNode], { kind: "session-expiry", clients: nodes }),
  effect: ({ nodes }, seen) => lostSessions(seen, nodes),
};
