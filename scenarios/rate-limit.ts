import {
  callsEnd,
  consumer,
  poisson,
  provider,
  recovery,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "rate-limit",
  title: {
    en: "However many come, no more are let in than was agreed",
    zh: "不管来多少，放进来的不超过约定",
  },
  explanation: {
    en: "Each of two instances of orders lets in 70 calls a second, and 15 at once after a pause: a token bucket. At 95 calls a second nobody notices it. For two seconds 400 arrive: in any interval T at most 15 + 70 · T pass an instance, the others are refused at once with RESOURCE_EXHAUSTED and cost orders nothing. As soon as the crowd has gone everybody is let in again, for a bucket bears no grudge. Unlike a concurrency limit it knows nothing of how orders is: set too high it protects nobody, set too low it turns away what could have been served.",
    zh: "orders 的两个实例各自每秒放进 70 次调用，停顿之后可以一次放进 15 次：这就是令牌桶。每秒 95 次时谁也察觉不到它。随后两秒内每秒来 400 次：任意时段 T 内，通过一个实例的至多 15 + 70 · T 次，其余立刻以 RESOURCE_EXHAUSTED 拒绝，不耗 orders 分毫。人群一散，大家又都能进来，因为令牌桶不记仇。与并发限制不同，它对 orders 的状况一无所知：设得太高，谁也保护不了；设得太低，会把本可处理的调用赶走。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "500ms",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({
      instances: 2,
      serviceTime: { exponential: { mean: "5ms" } },
      admission: { rateLimit: { perSecond: 70, burst: 15 } },
    }),
  },
  load: poisson("95/s").for("1500ms").then("400/s").for("2s").then("95/s").for("2s").on("storefront"),
  timeline: [],
  expect: [
    // 800 come, and at most 30 + 140 · 2 pass.
    callsEnd("orders", "RESOURCE_EXHAUSTED").atLeast("55%").detects("33%").during("1500ms..3500ms"),
    successRate("orders").atLeast("99%").detects("70%").during("0s..1500ms"),
    successRate("orders").atLeast("25%").detects("8%").during("1500ms..3500ms"),
    recovery("orders").after("3500ms").within("500ms").atLeast("98%").p99Below("150ms").detects("1s"),
  ],
  agreement: { share: 0.03, success: 0.03, recovery: "20%" },
});
