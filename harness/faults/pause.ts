import { lostSuccesses, towards } from "./effect.ts";
import type { FaultKind } from "./fault.ts";
import { each } from "./nodes.ts";

/** The process freezes (SIGSTOP): its sockets stay open and nobody answers, as in a long collection of garbage. */
export const pause: FaultKind = {
  primitives: ["node.pause"],
  apply: async (step, fleet) => {
    await each(fleet, step.nodes, (node) => node.pause());
    return () => each(fleet, step.nodes, (node) => node.resume());
  },
  effect: (step, seen) => lostSuccesses(seen, towards(step.nodes)),
};
