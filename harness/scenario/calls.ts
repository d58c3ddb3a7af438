import type { CallsSpec, FleetSpec } from "./schema.ts";

/** How the nodes of a service call others. */
export function callSpecsOf(spec: FleetSpec): readonly CallsSpec[] {
  // To reserve twice is two reservations.
  if (spec.program === "order") return [spec.account, spec.stock].map((calls) => ({ ...calls, retries: 0 }));
  const also = spec.program === "provider" ? (spec.alsoCalls ?? []) : [];
  return "calls" in spec && spec.calls !== undefined ? [spec.calls, ...also] : also;
}

/** The services that the nodes of a service call. */
export const calleesOf = (spec: FleetSpec): readonly string[] => callSpecsOf(spec).map(({ service }) => service);
