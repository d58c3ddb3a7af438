import { fractionOf } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { over, slowedAttempts } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** Segments are lost with `probability`, and sent again 200 ms × 2^k later, as TCP does. */
export const loss: FaultKind<Extract<FaultSpec, { kind: "loss" }>> = {
  primitives: ["link.loss"],
  apply: ({ fault, links: pairs }, _fleet, links) =>
    links.add(pairs, { lossProbability: fractionOf(fault.probability) }),
  effect: ({ fault, links }, seen) =>
    // A call crosses twice, so at least this share of them waits for a retransmission.
    slowedAttempts(seen, over(links), (usualUs) => usualUs + 100_000, fractionOf(fault.probability)),
};
