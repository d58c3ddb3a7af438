import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  scenario,
  share,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "registry-outage",
  title: { en: "The registry is gone, the calls go on", zh: "注册中心没了，调用照常" },
  explanation: {
    en: "The registry is killed for three seconds, and comes back having forgotten everybody. Consumers keep calling the instances that they knew (fail static): an unreachable registry is not an empty one. Providers open a new session and register again by themselves.",
    zh: "注册中心被杀死三秒，再回来时谁也不记得了。调用方继续使用最后已知的实例（fail static）：连不上注册中心不等于没有实例。提供者会自己建立新会话并重新注册。",
  },
  tags: ["tour"],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("2s").kill("registry", { for: "3s" })],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    share("orders").byInstance("equal").detects(1.5),
    attemptsPerCall("orders").atMost(1.05).detects(1.25),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
