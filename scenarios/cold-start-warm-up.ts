import { consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "cold-start-warm-up",
  title: { en: "A cold instance gets a trickle, not a flood", zh: "冷实例先接细流，而不是洪水" },
  explanation: {
    en: "Three instances are warm, the fourth has just started and warms up for ten minutes. Callers give it weight 1 of 100 for its first twelve seconds, and one more every six seconds after that (Dubbo's formula): one call in 301 instead of one in four. A policy that ignores weights would send it its full share at once.",
    zh: "三个实例是热的，第四个刚刚启动，要预热十分钟。按 Dubbo 的公式，调用方在最初十二秒里给它的权重是 100 中的 1，此后每六秒加 1：每 301 次调用分到一次，而不是每四次一次。不看权重的策略会立刻发给它整份流量。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random" }),
    orders: provider({
      groups: [{ instances: 3 }, { instances: 1, warmup: "10m" }],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  load: poisson("200/s").on("storefront").for("8s"),
  // With least-active the newcomer gets everything: https://github.com/apache/dubbo/issues/14406
  timeline: [],
  expect: [
    share("orders").byInstance({ "orders/0": 100, "orders/1": 100, "orders/2": 100, "orders/3": 1 }).detects(10),
    successRate("orders").atLeast("99%").detects("95%"),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
