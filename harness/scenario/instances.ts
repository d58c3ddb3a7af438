import type { FleetSpec } from "./schema.ts";

/** How many instances a service of a fleet has. */
export function instancesOf(service: FleetSpec): number {
  if (service.program === "account" || service.program === "stock") return 1;
  if (service.program !== "provider" || service.groups === undefined) return service.instances ?? 1;
  return service.groups.reduce((sum, { instances }) => sum + instances, 0);
}
