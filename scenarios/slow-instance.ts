import { consumer, latency, poisson, provider, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "slow-instance",
  title: {
    en: "One instance is a hundred times slower, and three ways to notice",
    zh: "一个实例慢一百倍，三种发现它的办法",
  },
  explanation: {
    en: "orders/2 needs a second for what the others do in 10 ms. It loses no call and answers every health check; whoever takes turns would wait for every third call. The storefront measures response times itself (Peak EWMA). The mobile gateway asks each instance how much more it would take (Dubbo's adaptive P2C). The kiosk hears with every answer how busy an instance is, and gives it turns accordingly (gRPC's weighted round-robin, ORCA). Each of them sends the slow instance a tenth of its calls at most.",
    zh: "同样的活儿，别的实例 10 毫秒做完，orders/2 要一秒。它一次调用也没丢，健康检查也全部通过；轮询的话，每三次调用就有一次要等它。storefront 自己量响应时间（Peak EWMA）；mobile 问每个实例还能接多少（Dubbo 的自适应 P2C）；kiosk 从每个回复里得知实例有多忙，按此分配轮次（gRPC 的加权轮询，ORCA）。三者分给慢实例的调用都不超过一成。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "4s", balancer: "p2c-peak-ewma" }),
    mobile: consumer({ instances: 1, calls: "orders", timeout: "4s", balancer: "p2c-adaptive" }),
    kiosk: consumer({
      instances: 1,
      calls: "orders",
      timeout: "4s",
      balancer: "weighted-round-robin",
      weightedRoundRobin: { blackout: "300ms", weightUpdate: "100ms" },
    }),
    orders: provider({
      groups: [
        { instances: 2, serviceTime: { exponential: { mean: "10ms" } } },
        { instances: 1, serviceTime: "1s" },
      ],
      capacity: 8,
      reportsLoad: true,
      admission: { concurrencyLimit: { kind: "fixed", initial: 16 } },
    }),
  },
  load: ["storefront", "mobile", "kiosk"].map((name) => poisson("50/s").on(name).for("8s")),
  timeline: [],
  expect: [
    latency("orders").from("storefront").percentile(90, "150ms").detects("32%"),
    latency("orders").from("mobile").percentile(90, "150ms").detects("32%"),
    latency("orders").from("kiosk").percentile(90, "150ms").detects("32%"),
  ],
  // No agreement: how many calls meet the slow instance before it is found out depends on how long the warm-up took, and they are the p99.
});
