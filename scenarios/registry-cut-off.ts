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
  name: "registry-cut-off",
  title: { en: "Half of the fleet loses sight of the registry", zh: "一半的实例看不见注册中心" },
  explanation: {
    en: "For three seconds orders/0 and orders/1 can't reach the registry, while everybody can reach them. Their sessions run out, so consumers are told that they are gone, and the other half carries the whole load: what the registry says is its own view, not the truth. No call may fail, for nobody who is still listed is ill. When the link is back, both find their sessions expired, open new ones, and get their share again.",
    zh: "有三秒钟，orders/0 和 orders/1 连不上注册中心，而调用方都能连上它们。它们的会话过期，调用方被告知它们已经离开，另一半实例承担了全部负载：注册中心说的是它看到的，不是事实。不应有任何调用失败，因为仍在列表里的实例都是健康的。链路恢复后，两者发现会话已过期，建立新会话，重新分到自己的一份流量。",
  },
  tags: [],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("14s"),
  timeline: [
    at("2s").partition({ from: "orders/0", to: "registry" }, { for: "3s" }),
    at("2s").partition({ from: "orders/1", to: "registry" }, { for: "3s" }),
  ],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.05).detects(1.25)],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
