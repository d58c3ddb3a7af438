import { lostSuccesses, over } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** Whatever is sent disappears: connections open or stay open, and nobody ever answers. */
export const blackhole: FaultKind = {
  primitives: ["link.cut"],
  apply: ({ links: pairs }, _fleet, links) => links.add(pairs, { cut: "both" }),
  effect: ({ links }, seen) => lostSuccesses(seen, over(links)),
};
