import { consumer, latency, poisson, provider, recovery, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "adaptive-limit",
  title: {
    en: "Twice the load that it can do, and a server that does all it can",
    zh: "负载是能力的两倍，服务端照样做满自己能做的",
  },
  explanation: {
    en: "From the second to the fifth second twice as many calls arrive as the workers of orders can do. A queue would let them all in: soon each waits longer than its caller does, and the workers are busy with calls that nobody wants any more. A concurrency limit (AIMD) refuses what is too much at once: whatever takes longer than 200 ms lowers it, whatever is fast raises it. Half of the calls are refused, and the other half is answered in time.",
    zh: "第二秒到第五秒之间，到来的调用是 orders 的工作者处理能力的两倍。若用队列全部收下，很快每次调用等的时间都超过调用方的耐心，工作者忙的全是没人要的调用。并发限制（AIMD）把多出来的当场拒绝：超过 200 毫秒的调用让限制降低，快的调用让它升高。一半被拒绝，另一半按时得到答复。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "600ms",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({
      instances: 2,
      capacity: 4,
      serviceTime: { exponential: { mean: "50ms" } },
      admission: { concurrencyLimit: { kind: "aimd", initial: 10, min: 4, max: 30, timeout: "200ms" } },
    }),
  },
  load: poisson("90/s").for("2s").then("300/s").for("3s").then("90/s").for("3s").on("storefront"),
  timeline: [],
  // What https://github.com/apache/dubbo-go/issues/3336 asks to be shown: the provider is protected, and comes back.
  expect: [
    // Half are refused at least, and a refused call counts as slow.
    latency("orders").percentile(40, "350ms").detects("85%").during("2s..5s"),
    recovery("orders").after("5s").within("1s").atLeast("98%").p99Below("500ms").detects("1s"),
  ],
  // No agreement: at the limit a few milliseconds decide who is refused, and each world's are its own.
});
