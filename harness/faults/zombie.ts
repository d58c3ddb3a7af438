import { disturb } from "./disturb.ts";
import type { FaultKind } from "./fault.ts";
import { departures } from "./told.ts";

/** Instances deregister and serve on: who has their addresses is answered. */
export const zombie: FaultKind = {
  primitives: ["registration.withdraw"],
  apply: ({ nodes }, fleet) => disturb(fleet, nodes, { kind: "zombie" }),
  effect: ({ nodes }, seen) => departures(seen, nodes, 1),
};
