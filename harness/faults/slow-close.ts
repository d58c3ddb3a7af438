import { durationUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import type { FaultKind } from "./fault.ts";

/** When one side closes, the other hears of it `delay` later. */
export const slowClose: FaultKind<Extract<FaultSpec, { kind: "slow-close" }>> = {
  primitives: ["link.slow-close"],
  apply: ({ fault, links: pairs }, _fleet, links) => links.add(pairs, { slowCloseUs: durationUs(fault.delay) }),
  effect: () => ({ effect: "inconclusive", evidence: "no call record shows when a connection's end was noticed" }),
};
