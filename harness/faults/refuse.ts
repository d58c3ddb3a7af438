import { lostSuccesses, over } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** New connections are refused at once, and those that were open are reset: the port is closed. */
export const refuse: FaultKind = {
  primitives: ["link.refuse"],
  apply: ({ links: pairs }, _fleet, links) => links.add(pairs, { isRefusing: true }),
  effect: ({ links }, seen) => lostSuccesses(seen, over(links)),
};
