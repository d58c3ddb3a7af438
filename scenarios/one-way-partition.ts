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
  name: "one-way-partition",
  title: { en: "The requests arrive, the answers don't", zh: "请求到得了，回答回不来" },
  explanation: {
    en: "For three seconds nothing that orders/1 sends reaches storefront, while all that storefront sends arrives. So orders/1 does work that nobody ever hears of, and says so to nobody: it keeps its session, and the registry lists it as healthy. Only its callers know. Attempt timeouts move each of their calls to another instance, and outlier ejection leaves the instance out after five silences in a row. Whatever isn't idempotent has been done twice by then.",
    zh: "有三秒钟，orders/1 发出的任何东西都到不了 storefront，而 storefront 发出的都能送达。于是 orders/1 一直在做没人知道的工作，自己也浑然不觉：它的会话还在，注册中心照样把它列为健康实例。只有调用方知道出了问题。单次尝试的超时让调用换到其他实例，连续五次没有回音之后，离群摘除就不再选它。而不幂等的操作，这时已经做了两遍。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      attemptTimeout: "200ms",
      balancer: "smooth-weighted-round-robin",
      outlier: { consecutiveErrors: 5, maxEjectionPercent: 50, interval: "500ms", baseEjection: "1500ms" },
    }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("180/s").on("storefront").for("6s"),
  timeline: [at("1500ms").partition({ from: "storefront", to: "orders/1" }, { direction: "backward", for: "3s" })],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.1).detects(1.35)],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
