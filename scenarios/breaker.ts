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
    en: "For two seconds the work of orders takes twenty times as long. Without a breaker each of its callers would wait out its 130 ms, and orders would work on what nobody wants. Of at least ten calls in a second half failing, or a third taking over 60 ms, opens the breaker: from then on calls fail at once and nothing is sent, so that orders comes back to no crowd. Every 100 ms three probes find out how it is; when they are well the breaker closes. Count the attempts: none while it is open, three for each time that it is half-open.",
    zh: "两秒之内，orders 的工作慢到二十倍。没有熔断器，每个调用方都要把 130 毫秒等完，orders 则忙着做没人要的活。一秒内至少十次调用，有一半失败，或三成超过 60 毫秒，熔断器就打开：此后调用立刻失败，什么也不发送，orders 恢复时不会被人群淹没。每隔 100 毫秒放三个探测过去看看；探测都正常，熔断器就闭合。数一数尝试次数：打开期间一次也没有，每次半开只有三次。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "130ms",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
      breaker: {
        window: "1s",
        minCalls: 10,
        errorRatio: "50%",
        slow: "60ms",
        slowRatio: "30%",
        open: "100ms",
        probes: 3,
      },
    }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("150/s").on("storefront").for("8s"),
  timeline: [at("2s").slow("orders", { factor: 20, for: "2s" })],
  expect: [
    openBreaker("orders").detects("10%"),
    successRate("orders").atLeast("99%").detects("80%").during("0s..1900ms"),
    recovery("orders").after("4s").within("1s").atLeast("99%").p99Below("150ms").detects("1s"),
  ],
  // How many probes are lucky while orders is slow is a draw.
  agreement: { share: 0.03, success: "chance", p99: "25%", recovery: "20%" },
});
