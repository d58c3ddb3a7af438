import { brokenInFlight, over } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** Every open connection breaks (RST), once. */
export const reset: FaultKind = {
  primitives: ["link.reset"],
  apply: async ({ links }, fleet) => {
    await Promise.all(links.map(({ from, to }) => fleet.link(from, to).reset()));
    return () => Promise.resolve();
  },
  effect: ({ links }, seen) => brokenInFlight(seen, over(links)),
};
