import { expect, test } from "vitest";

import { at } from "./builders.ts";
import { constant, consumer, provider, scenario, successRate } from "./builders.ts";
import type { ProcessPlan } from "./plan.ts";
import { planScenario, type PlanOptions } from "./planner.ts";
import type { StepSpec } from "./schema.ts";

const planned = (timeline: readonly StepSpec[], options: Partial<PlanOptions> = {}) =>
  planScenario(
    scenario({
      name: "packed",
      title: { en: "Packed", zh: "共用进程" },
      explanation: { en: "Nodes share processes.", zh: "节点共用进程。" },
      fleet: {
        shop: consumer({ instances: 3, calls: "orders" }),
        orders: provider({ instances: 6, calls: "stock" }),
        stock: provider({ instances: 2 }),
      },
      load: constant("200/s").on("shop").for("8s"),
      timeline: [...timeline],
      expect: [successRate("orders").atLeast("99%").detects("90%")],
    }),
    { world: "local", seed: 1, pack: 4, ...options },
  );

const nodesOf = (processes: readonly ProcessPlan[] | undefined) => processes?.map(({ nodes }) => nodes.join(" "));

test("nodes share processes in the fleet's order; those who make the load share with each other only", () => {
  expect(nodesOf(planned([]).processes)).toEqual([
    "registry/0",
    "shop/0 shop/1 shop/2",
    "orders/0 orders/1 orders/2 orders/3",
    "orders/4 orders/5 stock/0 stock/1",
  ]);
});

test("whoever a step needs a process of its own for is alone, and the plan says why", () => {
  const { processes } = planned([
    at("2s").pause("orders/1", { for: "1s" }),
    at("5s").kill("orders/1"),
    at("3s").stop("stock/0"),
    at("1s").eventLoopBlock("orders/4", { block: "100ms", for: "1s" }),
  ]);
  expect(processes?.filter(({ alone }) => alone !== undefined)).toEqual([
    { nodes: ["registry/0"], alone: "infrastructure" },
    { nodes: ["orders/1"], alone: "pause at 2 s" },
    { nodes: ["orders/4"], alone: "event-loop-block at 1 s" },
    { nodes: ["stock/0"], alone: "stop at 3 s" },
  ]);
  expect(nodesOf(processes)).toContain("orders/0 orders/2 orders/3 orders/5");
});

test("faults of links, and of what a node says or how long it works, leave it where it is", () => {
  const { processes } = planned([
    at("1s").latency("orders", { add: "20ms", for: "1s" }),
    at("3s").slow("orders/0", { factor: 3, for: "1s" }),
    at("5s").disconnect("orders/1", { for: "1s" }),
  ]);
  expect(processes?.filter(({ alone }) => alone !== undefined)).toHaveLength(1);
});

test("without --pack, and in sim, nothing is said of processes; docker refuses it", () => {
  expect(planned([], { pack: undefined }).processes).toBeUndefined();
  expect(planned([], { world: "sim" }).processes).toBeUndefined();
  expect(() => planned([], { world: "docker" })).toThrow("a container holds one node");
});
