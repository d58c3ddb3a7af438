import {
  at,
  consumer,
  openBreaker,
  poisson,
  provider,
  recovery,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "breaker",
  title: {
    en: "A breaker gives up for everybody, and finds out by itself when to begin again",
    zh: "熔断器替所有人先认输，再自己探明何时恢复",
  },
  explanation: {
    en: "For two seconds every connection to orders is refused. Without retries each call would fail on its own, after its own try. Half of ten calls in a second failing opens the breaker: from then on calls fail at once and nothing is sent, so orders comes back to no crowd. Every 400 ms three probes find out how it is; when they are well the breaker closes. Count the attempts: none while it is open, three for each time that it is half-open.",
    zh: "两秒之内，到 orders 的连接全部被拒绝。没有重试时，每次调用都要自己试一次再失败。一秒内十次以上的调用有一半失败，熔断器就打开：此后调用立刻失败，什么也不发送，orders 恢复时也不会被人群淹没。每隔 400 毫秒放三个探测过去看看；探测都成功，熔断器就闭合。数一数尝试次数：打开期间一次也没有，每次半开只有三次。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      cluster: "failfast",
      breaker: { window: "1s", minCalls: 10, errorRatio: "50%", open: "400ms", probes: 3 },
    }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("2s").refuse({ from: "storefront", to: "orders" }, { for: "2s" })],
  expect: [
    openBreaker("orders").detects("10%"),
    successRate("orders").atLeast("99%").detects("80%").during("0s..1900ms"),
    recovery("orders").after("4s").within("1600ms").atLeast("99%").p99Below("150ms").detects("1s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
