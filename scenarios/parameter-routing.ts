import { consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

/** Who asks for what, and where it goes. Forced: whoever is meant never goes anywhere else. */
const rule = `configVersion: v3.0
scope: service
force: true
runtime: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - attachments[tier]=vip => pool=fast
  - application=storefront & arguments[0].key=u1 => pool=beta
  - application=storefront & arguments[0].key!=u1 => pool=main
`;

export default scenario({
  name: "parameter-routing",
  title: { en: "What a request says decides where it goes", zh: "请求里写着什么，就决定它去哪里" },
  explanation: {
    en: "One condition rule reads three things of each call: its metadata (tier=vip goes to the fast pool), a field of its request message (user u1 tries the beta), and who calls (the last two are about the storefront only). The partner's calls carry no user: a condition about a value that is absent never matches, not even with !=, so none of them is caught by the last line.",
    zh: "一条条件规则读取每次调用的三样东西：元数据（tier=vip 去 fast 池）、请求消息里的字段（用户 u1 试用 beta）、以及调用方是谁（后两行只针对 storefront）。partner 的调用不带这些用户：值不存在的条件永远不匹配，写成 != 也一样，所以最后一行不会误伤它们。",
  },
  tags: ["routing"],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      balancer: "smooth-weighted-round-robin",
      key: { name: "user-id", count: 10 },
    }),
    partner: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      balancer: "smooth-weighted-round-robin",
      metadata: { tier: "vip" },
    }),
    orders: provider({
      groups: [
        { instances: 2, labels: { pool: "main" } },
        { instances: 1, labels: { pool: "beta" } },
        { instances: 1, labels: { pool: "fast" } },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  rules: { "flyball.worker.v1.Worker::orders.condition-router": rule },
  load: [poisson("160/s").on("storefront").for("6s"), poisson("40/s").on("partner").for("6s")],
  expect: [
    share("orders")
      .from("storefront")
      .byInstance({ "orders/0": 0.45, "orders/1": 0.45, "orders/2": 0.1, "orders/3": 0 })
      .detects(2.3),
    share("orders")
      .from("partner")
      .byInstance({ "orders/0": 0, "orders/1": 0, "orders/2": 0, "orders/3": 1 })
      .detects(1.05),
    successRate("orders").atLeast("99%").detects("94%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
