import type { FaultSpec } from "../scenario/schema.ts";
import { disturb } from "./disturb.ts";
import type { Effect, FaultKind, Observation } from "./fault.ts";

/** A rule document is published, and when everybody has been told, the one before it arrives: it was on its way for longer. */
export const outOfOrderRule: FaultKind<Extract<FaultSpec, { kind: "out-of-order-rule" }>> = {
  primitives: ["config.publish", "config.retell"],
  apply: async ({ fault: { key, content } }, fleet) => {
    await fleet.publish(key, content);
    return disturb(fleet, ["config-center/0"], { kind: "late-document", key, group: "dubbo" });
  },
  effect: ({ fault: { key } }, seen) => olderCameLater(seen, key),
};

function olderCameLater({ history, orderedUs, toUs, control }: Observation, key: string): Effect {
  const nodesIn = (source: typeof history, fromUs: number, untilUs: number): number => {
    const newest = new Map<string, number>();
    const deceived = new Set<string>();
    for (const told of source.documents) {
      if (told.key !== key || told.atUs >= untilUs) continue;
      const before = newest.get(told.node) ?? -1;
      if (told.version < before && told.atUs >= fromUs) deceived.add(told.node);
      newest.set(told.node, Math.max(before, told.version));
    }
    return deceived.size;
  };
  const during = nodesIn(history, orderedUs, toUs);
  const without = control === undefined ? nodesIn(history, -Infinity, orderedUs) : nodesIn(control, orderedUs, toUs);
  const where = control === undefined ? "before" : "in the same run without the fault";
  const evidence = `${during} nodes were told an older version of ${key} after a newer one, ${without} ${where}`;
  if (during === 0) return { effect: "none", evidence };
  return { effect: without === 0 ? "confirmed" : "inconclusive", evidence };
}
