import { durationUs } from "../scenario/durations.ts";
import type { FaultSpec } from "../scenario/schema.ts";
import { over, slowedAttempts } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** Every round trip takes `add` longer, half of it in each direction; `jitter` varies it. */
export const latency: FaultKind<Extract<FaultSpec, { kind: "latency" }>> = {
  primitives: ["link.latency"],
  apply: ({ fault, links: pairs }, _fleet, links) =>
    links.add(pairs, {
      latency: {
        addUs: durationUs(fault.add) / 2,
        jitterUs: fault.jitter === undefined ? 0 : durationUs(fault.jitter) / 2,
        distribution: fault.distribution ?? "uniform",
      },
    }),
  effect: ({ fault, links }, seen) =>
    slowedAttempts(seen, over(links), (usualUs) => usualUs + durationUs(fault.add) / 2),
};
