import { consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";
import type { Scenario } from "../harness/scenario/schema.ts";

export interface FleetSize {
  readonly nodes: number;
  readonly calls: number;
}

const consumers = 50;
/** A fleet of ten times the nodes gets ten times the load: heartbeats have the same share in what there is to simulate. */
const callsPerSecondAndNode = 20;

/** The fleet that the simulator's speed is measured with: consumers share their calls by p2c among providers that queue. */
export function fleet({ nodes, calls }: FleetSize): Scenario {
  const callsPerSecond = callsPerSecondAndNode * nodes;
  return scenario({
    name: "bench-sim",
    title: { en: "How fast the simulator is", zh: "模拟器有多快" },
    explanation: { en: "A healthy fleet under load.", zh: "健康的服务群在负载之下。" },
    tags: [],
    fleet: {
      storefront: consumer({ instances: consumers, calls: "orders", timeout: "1s", balancer: "p2c" }),
      orders: provider({
        instances: nodes - consumers,
        capacity: 1,
        serviceTime: { exponential: { mean: "5ms" } },
      }),
    },
    load: poisson(`${callsPerSecond}/s`)
      .on("storefront")
      .for(`${(calls / callsPerSecond) * 1000}ms`),
    timeline: [],
    expect: [successRate("orders").atLeast("99.9%").detects("99%")],
  });
}
