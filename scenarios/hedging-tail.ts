import { attemptsPerCall, consumer, latency, poisson, provider, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "hedging-tail",
  title: { en: "A second request cuts off the tail", zh: "多发一个请求，削掉长尾" },
  explanation: {
    en: "Service times have a heavy tail: half of the calls take 10 ms, but one of ten takes over 100 ms. A call that isn't answered within 40 ms goes to a second instance as well, and after 80 ms to a third; the first answer wins and the others are cancelled. Both have to be slow for the call to be slow, so the share of calls over 100 ms falls from ten percent to below one, for a quarter more requests.",
    zh: "服务时间有长尾：一半调用只要 10 毫秒，但每十次就有一次超过 100 毫秒。40 毫秒还没答复就再问第二个实例，80 毫秒再问第三个；谁先答用谁，其余取消。要几次同时都慢，这次调用才会慢，于是超过 100 毫秒的调用从 10% 降到不足 1%，代价是请求多了四分之一。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "2s",
      balancer: "smooth-weighted-round-robin",
      hedging: { maxAttempts: 3, hedgingDelay: "40ms" },
    }),
    orders: provider({ instances: 5, serviceTime: { pareto: { min: "4ms", shape: 0.7 } } }),
  },
  load: poisson("180/s").on("storefront").for("7s"),
  expect: [
    latency("orders").percentile(98, "100ms").detects("8%"),
    attemptsPerCall("orders").atMost(1.35).detects(1.65),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
