import { consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";
import type { Scenario } from "../harness/scenario/schema.ts";

export interface FleetSize {
  readonly nodes: number;
  readonly calls: number;
}

const consumers = 50;
const callsPerSecond = 20_000;

/** The fleet that the simulator's speed is measured with: 50 consumers, and providers that queue, share their work by p2c. */
export function fleet({ nodes, calls }: FleetSize): Scenario {
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
