import { lostSuccesses, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";
import { each, restart } from "./nodes.ts";

/** The process ends at once (SIGKILL); with `for` it is started again at the same address afterwards. */
export const kill: FaultKind = {
  primitives: ["node.kill", "node.restart"],
  apply: async (step, fleet) => {
    await each(fleet, step.nodes, (node) => node.kill());
    return () => restart(fleet, step.nodes);
  },
  effect: (step, seen) => lostSuccesses(seen, towards(step.nodes)),
};
