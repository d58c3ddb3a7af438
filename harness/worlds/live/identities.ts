import { Authority } from "../../../runtime/node/authority.ts";
import type { TlsIdentity } from "../../../runtime/security/tls-identity.ts";

/**
 * The one name that every certificate of a fleet has beside its owner's: addresses change with the world, and a proxy has its own. So a
 * caller knows that it talks to one of its fleet; who calls, the callee knows by name.
 */
export const fleetName = "fleet.flyball.internal";

/** Makes the identities of one run, by an authority that is nobody's afterwards: for a service's nodes the name is the service's. */
export function freshIdentities(nowMs: number): (service: string) => TlsIdentity {
  const authority = new Authority("flyball run", nowMs);
  return (name) => authority.issue({ name, hosts: [fleetName], serverName: fleetName });
}
