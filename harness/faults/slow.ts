import type { FaultSpec } from "../scenario/schema.ts";
import { slowedAttempts, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";
import { each } from "./nodes.ts";

/** The node's work takes `factor` times as long. */
export const slow: FaultKind<Extract<FaultSpec, { kind: "slow" }>> = {
  primitives: ["node.slow"],
  apply: async (step, fleet) => {
    await each(fleet, step.nodes, (node) => node.slow(step.fault.factor));
    return () => each(fleet, step.nodes, (node) => node.slow(1));
  },
  effect: (step, seen) =>
    slowedAttempts(seen, towards(step.nodes), (usualUs) => (usualUs * (1 + step.fault.factor)) / 2),
};
