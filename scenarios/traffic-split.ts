import { at, consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

/** Every call is drawn: so many of a hundred go to the region r2. */
const split = (percent: number): string => `configVersion: v3.1
scope: service
force: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - from:
      match: ""
    to:
      - match: region=r1
        weight: ${100 - percent}
      - match: region=r2
        weight: ${percent}
`;

export default scenario({
  name: "traffic-split",
  title: { en: "Calls are split by weight, not by the number of instances", zh: "按权重拆分流量，与实例多少无关" },
  explanation: {
    en: "Region r1 has three instances and r2 has one. A v3.1 condition rule gives r2 20 % of the calls, and 60 % four seconds later: a share of the traffic, drawn once for each call, whatever the number of instances behind it. In a weight of instances the single one of r2 would always get a quarter.",
    zh: "r1 区域有三个实例，r2 只有一个。一条 v3.1 条件规则把 20 % 的调用分给 r2，四秒后改为 60 %：分的是流量，每次调用抽签一次，与背后有多少实例无关。若按实例权重分，r2 的那一个永远只能得到四分之一。",
  },
  tags: ["routing"],
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({
      groups: [
        { instances: 3, labels: { region: "r1" } },
        { instances: 1, labels: { region: "r2" } },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  rules: { "flyball.worker.v1.Worker::orders.condition-router": split(20) },
  load: poisson("220/s").on("storefront").for("8s"),
  timeline: [at("4s").publish("flyball.worker.v1.Worker::orders.condition-router", split(60))],
  expect: [
    share("orders")
      .byInstance({ "orders/0": 80 / 3, "orders/1": 80 / 3, "orders/2": 80 / 3, "orders/3": 20 })
      .detects(1.8)
      .during("0s..4s"),
    share("orders")
      .byInstance({ "orders/0": 40 / 3, "orders/1": 40 / 3, "orders/2": 40 / 3, "orders/3": 60 })
      .detects(2.2)
      .during("4500ms..8s"),
    successRate("orders").atLeast("99%").detects("95%"),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
