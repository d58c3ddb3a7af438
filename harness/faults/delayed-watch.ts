import { durationUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { disturb, registryNode } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { lateChanges } from "./told.ts";

/** Changes of a service reach these clients `by` later, one after the other. */
export const delayedWatch: FaultKind<Extract<FaultSpec, { kind: "delayed-watch" }>> = {
  primitives: ["registry.view"],
  apply: ({ nodes, fault: { service, by } }, fleet) =>
    disturb(fleet, [registryNode], { kind: "delayed-watch", clients: nodes, service, byMs: durationUs(by) / 1000 }),
  effect: ({ nodes, fault: { service, by } }, seen) => lateChanges(seen, { nodes, service }, durationUs(by)),
};
