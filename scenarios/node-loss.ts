import {
  at,
  attemptsPerCall,
  consumer,
  noDeadCalls,
  poisson,
  provider,
  recovery,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "node-loss",
  title: { en: "A provider dies and nobody notices", zh: "一个提供者宕机，调用方毫无察觉" },
  explanation: {
    en: "orders/1 is killed without a goodbye. Its connections break at once, so a call that meets it is retried on another instance (failover). The registry still lists it until its session runs out, and for that long every fourth call pays for a second attempt; then nobody tries it any more.",
    zh: "orders/1 被直接杀死，来不及注销。它的连接立刻断开，落到它身上的调用会换一个实例重试（failover）。在会话过期之前注册中心仍然列着它，这段时间里每四次调用就有一次要多试一次；会话过期之后，就再也没有人访问它了。",
  },
  tags: ["tour"],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  // Consumers went on calling who was gone in https://github.com/apache/dubbo-go/issues/1946.
  timeline: [at("1500ms").kill("orders/1", { for: "4500ms" })],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    noDeadCalls("orders").within("3s").detects("1s"),
    attemptsPerCall("orders").atMost(1.25).detects(1.6),
    recovery("orders").after("1500ms").within("500ms").atLeast("99%").p99Below("150ms").detects("1s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
