import { at, consumer, metrics, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "counted-by-prometheus",
  title: { en: "Prometheus counts what really happened", zh: "Prometheus 数的，就是真实发生的" },
  explanation: {
    en: "Every node counts its calls and Prometheus scrapes the counters once a second; afterwards its numbers are held against the history, call by call. orders/2 is stopped in order: it waits for a last scrape, so its counts are exact. orders/1 is killed: what it did since its last scrape went with it, so Prometheus may know less of it, and never more. That is the price of pulling: a counter is as good as its last scrape.",
    zh: "每个节点统计自己的调用，Prometheus 每秒抓取一次；运行结束后，把它的数字与历史记录逐次核对。orders/2 正常停止：它等到最后一次抓取之后才退出，所以数字完全一致。orders/1 被杀死：上次抓取之后的计数随它一起消失，所以 Prometheus 可能少数，但绝不会多数。这就是拉取模式的代价：计数器的可信度只到最后一次抓取为止。",
  },
  tags: ["docker"],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("2s").kill("orders/1"), at("4s").stop("orders/2")],
  expect: [successRate("orders").atLeast("99%").detects("93%"), metrics("orders")],
});
