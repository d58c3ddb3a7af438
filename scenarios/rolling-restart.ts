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
  name: "rolling-restart",
  title: { en: "All instances are replaced, one after the other", zh: "所有实例逐个重启，调用方毫无感觉" },
  explanation: {
    en: "As in a deployment, each instance of orders is stopped gracefully and started again before it is the next one's turn. The callers retry nothing, so a single call that meets a closed door would fail. Three things make it smooth: whoever leaves says so and serves on until the news has spread; whoever comes registers only when it can serve; and the pause between two restarts is longer than both together.",
    zh: "就像一次发布，orders 的每个实例先从容停止，再启动，然后才轮到下一个。调用方不重试，哪怕只有一次调用碰上关着的门也会失败。平稳靠三点：离开的实例先打招呼，消息传开之前继续服务；新来的实例准备好了才注册；两次重启之间的间隔比这两段时间加起来还长。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("150/s").on("storefront").for("8s"),
  // Who restarted at once wasn't registered in https://github.com/apache/dubbo-go/issues/2220.
  timeline: [at("500ms").restart("orders/0"), at("3s").restart("orders/1"), at("5500ms").restart("orders/2")],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.05).detects(1.5)],
  agreement: { success: 0.03, p99: "25%" },
});
