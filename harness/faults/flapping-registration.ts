import { durationUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { disturb } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { departures } from "./told.ts";

/** Instances deregister and register in turn, once each in `every`, and serve all the while. */
export const flappingRegistration: FaultKind<Extract<FaultSpec, { kind: "flapping-registration" }>> = {
  primitives: ["registration.withdraw"],
  apply: ({ nodes, fault: { every } }, fleet) =>
    disturb(fleet, nodes, { kind: "flapping-registration", everyMs: durationUs(every) / 1000 }),
  effect: ({ nodes }, seen) => departures(seen, nodes, 2),
};
