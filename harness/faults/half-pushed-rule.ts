import type { FaultSpec } from "../scenario/schema.ts";
import type { Effect, FaultKind, Observation } from "./fault.ts";

/** A rule document is published, and reaches these nodes only; lifted, it reaches the others too. */
export const halfPushedRule: FaultKind<Extract<FaultSpec, { kind: "half-pushed-rule" }>> = {
  primitives: ["config.publish", "link.cut"],
  apply: async ({ fault: { key, content }, links: pairs }, fleet, links) => {
    const lift = await links.add(pairs, { cut: "both" });
    try {
      await fleet.publish(key, content);
    } catch (error) {
      await lift();
      throw error;
    }
    return lift;
  },
  effect: ({ fault: { key }, nodes, links }, seen) =>
    reachedOnly(seen, key, { nodes, others: links.map(({ from }) => from) }),
};

/** The control are the nodes that it is kept from. */
function reachedOnly(
  { history, orderedUs, toUs }: Observation,
  key: string,
  { nodes, others }: { readonly nodes: readonly string[]; readonly others: readonly string[] },
): Effect {
  const heard = new Set(
    history.rules
      .filter((rule) => rule.key === key && rule.atUs >= orderedUs && rule.atUs < toUs)
      .map(({ node }) => node),
  );
  const [own, strange] = [nodes, others].map((some) => some.filter((node) => heard.has(node)).length) as [
    number,
    number,
  ];
  const evidence = `${own} of ${nodes.length} nodes heard of ${key} while it lasted, and ${strange} of the ${others.length} others`;
  if (own > 0 && strange === 0) return { effect: "confirmed", evidence };
  return { effect: own === 0 || strange === others.length ? "none" : "inconclusive", evidence };
}
