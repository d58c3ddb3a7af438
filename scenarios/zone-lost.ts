import { at, consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "zone-lost",
  title: { en: "A zone is lost, and not one call with it", zh: "一个可用区丢失，却没有丢一次调用" },
  explanation: {
    en: "The cluster strategy zone-aware chooses the zone first and an instance in it second. Zone a loses both of its instances: a call's first two attempts are refused there, its third goes to zone b, so nobody has to wait until the registry notices; from then on calls go to zone b at once. When the instances are back, so are the calls. Compare same-zone-priority, where a rule filters the list before any attempt is made, and calls fail until the registry has noticed.",
    zh: "集群策略 zone-aware 先选可用区，再选区内的实例。可用区 a 的两个实例全部丢失：一次调用的头两次尝试在那里被拒绝，第三次去 b 区，所以不必等注册中心察觉；察觉之后，调用直接去 b 区。实例回来，调用也就回来。可与 same-zone-priority 对比：那里由规则在尝试之前过滤列表，注册中心察觉之前调用会失败。",
  },
  tags: [],
  registry: { sessionTimeout: "1s", tick: "200ms" },
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      retries: 2,
      cluster: "zone-aware",
      zoneAware: { zone: "a" },
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({
      groups: [
        { instances: 2, labels: { zone: "a" } },
        { instances: 2, labels: { zone: "b" } },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  load: poisson("150/s").on("storefront").for("7s"),
  timeline: [at("1500ms").kill("orders/0", { for: "2500ms" }), at("1500ms").kill("orders/1", { for: "2500ms" })],
  expect: [
    successRate("orders").atLeast("99%").detects("94%"),
    share("orders")
      .byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 0, "orders/3": 0 })
      .detects(1.8)
      .during("0s..1500ms"),
    share("orders")
      .byInstance({ "orders/0": 0, "orders/1": 0, "orders/2": 1, "orders/3": 1 })
      .detects(1.8)
      .during("2900ms..4s"),
    share("orders")
      .byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 0, "orders/3": 0 })
      .detects(1.8)
      .during("5500ms..7s"),
  ],
  // No agreement: when callers dial again who is back depends on how fast it started, and decides the shares.
});
