import type { FaultSpec } from "../scenario/schema.ts";
import { lostSuccesses, over } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** Bytes in the direction don't arrive while it lasts; TCP delivers them afterwards. */
export const partition: FaultKind<Extract<FaultSpec, { kind: "partition" }>> = {
  primitives: ["link.cut"],
  apply: ({ fault, links: pairs }, _fleet, links) => links.add(pairs, { cut: fault.direction ?? "both" }),
  effect: ({ links }, seen) => lostSuccesses(seen, over(links)),
};
