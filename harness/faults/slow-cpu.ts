import type { FaultSpec } from "../scenario/schema.ts";
import { disturb } from "./disturb.ts";
import { slowedAttempts, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";

/** A period of the throttle: Linux's CFS bandwidth control has the same (`cpu.cfs_period_us`). */
const periodMs = 100;

/**
 * The process gets no more than a share of a processor: in each 100 ms it runs for that much and then stands still, as under a cgroup's
 * quota.
 */
export const slowCpu: FaultKind<Extract<FaultSpec, { kind: "slow-cpu" }>> = {
  primitives: ["node.block"],
  apply: ({ nodes, fault: { share } }, fleet) =>
    disturb(fleet, nodes, { kind: "blocks", blockMs: periodMs * (1 - share), everyMs: periodMs }),
  effect: ({ nodes, fault: { share } }, seen) =>
    slowedAttempts(seen, towards(nodes), (usualUs) => usualUs + (periodMs * 1000 * (1 - share)) / 4, (1 - share) * 0.4),
};
