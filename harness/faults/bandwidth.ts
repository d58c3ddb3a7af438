import type { FaultSpec } from "../scenario/schema.ts";
import { over, slowedAttempts } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** No more than `bytesPerSecond` pass in each direction. */
export const bandwidth: FaultKind<Extract<FaultSpec, { kind: "bandwidth" }>> = {
  primitives: ["link.bandwidth"],
  apply: ({ fault, links: pairs }, _fleet, links) =>
    links.add(pairs, { bandwidthBytesPerSecond: fault.bytesPerSecond }),
  effect: ({ links }, seen) => slowedAttempts(seen, over(links), (usualUs) => 2 * usualUs),
};
