import { lostSuccesses, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";
import { each } from "./nodes.ts";

/** The node's cable is pulled: it runs, and nothing gets in or out. Its peers aren't told; they hear nothing more. */
export const disconnect: FaultKind = {
  primitives: ["node.disconnect"],
  apply: async (step, fleet) => {
    await each(fleet, step.nodes, (node) => node.disconnect());
    return () => each(fleet, step.nodes, (node) => node.reconnect());
  },
  effect: (step, seen) => lostSuccesses(seen, towards(step.nodes)),
};
