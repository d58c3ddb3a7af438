import type { LinkPlan, NodePlan, Plan } from "../../scenario/plan.ts";
import type { Scenario } from "../../scenario/schema.ts";

/** For tests: a plan of two providers and a consumer, with a proxy on each of `links`. */
export function smallPlan(links: readonly LinkPlan[] = [], changes: Partial<Plan> = {}): Plan {
  const nodes: readonly NodePlan[] = [
    node("registry/0", "registry", {}),
    node("config-center/0", "config-center", {}),
    node("orders/0", "provider", { service: "orders", sessionTimeoutMs: 1000 }),
    node("orders/1", "provider", { service: "orders", sessionTimeoutMs: 1000 }),
    node("shop/0", "consumer", { application: "shop", calls: { service: "orders", timeoutMs: 500 } }),
  ];
  return {
    scenario: {} as Scenario,
    world: "local",
    seed: 1,
    registry: "embedded",
    hasMutualTls: false,
    isScraped: false,
    scenarioHash: "",
    nodes,
    rules: [],
    drives: [],
    timeline: [
      {
        atUs: 0,
        index: 0,
        what: {
          kind: "fault",
          fault: { kind: "blackhole", link: { from: "shop", to: "orders" } },
          forUs: undefined,
          nodes: [],
          links,
        },
      },
    ],
    checks: [],
    durationUs: 1_000_000,
    drainUs: 1_000_000,
    ...changes,
  };
}

function node(id: string, program: NodePlan["program"], config: NodePlan["config"]): NodePlan {
  return { id, service: id.split("/")[0]!, program, config, tag: undefined, weight: 100 };
}
