import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "stale-registry",
  title: { en: "The list is old, and the callers look for themselves", zh: "列表过时了，调用方自己会看" },
  explanation: {
    en: "From 500 ms on storefront talks to a replica of the registry that has fallen behind: heartbeats go on, and changes don't come. At 1 s orders/1 dies. backoffice hears of it when the session runs out; storefront never does, and its list has a dead instance for the rest of the run. Failover keeps its calls from failing, at the price of a second attempt for every third call. What ends that isn't the registry but outlier ejection: after five failures in a row the instance is left out, whatever the list says.",
    zh: "从 500 毫秒起，storefront 连着的是一个落后的注册中心副本：心跳照常，变化却不再传来。第 1 秒 orders/1 宕机。会话过期后 backoffice 得到通知，storefront 却永远不知道，它的列表里一直留着一个死实例。failover 让调用不至于失败，代价是每三次调用就有一次要多试一次。结束这种局面的不是注册中心，而是离群摘除：连续失败五次，不管列表怎么说，都不再调用它。",
  },
  tags: [],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      balancer: "smooth-weighted-round-robin",
      outlier: { consecutiveErrors: 5, maxEjectionPercent: 50, interval: "500ms", baseEjection: "10s" },
    }),
    backoffice: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: [poisson("180/s").on("storefront").for("6s"), poisson("10/s").on("backoffice").for("6s")],
  timeline: [at("500ms").staleSnapshot("storefront", { service: "orders" }), at("1s").kill("orders/1")],
  expect: [
    successRate("orders").from("storefront").atLeast("99%").detects("93%"),
    attemptsPerCall("orders").from("storefront").atMost(1.05).detects(1.2),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
