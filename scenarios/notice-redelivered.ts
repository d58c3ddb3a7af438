import { at, consumer, delivery, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "notice-redelivered",
  title: { en: "What a dead instance didn't get is delivered again", zh: "没送到的通知，稍后再送一次" },
  explanation: {
    en: "The shop sends notices by failback. One of four instances dies and stays listed: every fourth notice fails, its sender gets an empty answer at once, and after half a second the notice is redelivered, to another instance than the one that had it. So each arrives within a second, though none was waited for. The queue is in the sender's memory: had the shop died instead, its notices would be gone.",
    zh: "商店用 failback 发通知。四个实例死了一个，却还在列表里：每四条通知就有一条失败，发送方立刻得到空答复；半秒之后，通知重新投递，而且换一个实例。所以没有人等过，每条也都在一秒之内送到。队列在发送方的内存里：要是死的是商店，通知就没了。",
  },
  tags: [],
  fleet: {
    shop: consumer({
      instances: 1,
      calls: "notices",
      timeout: "500ms",
      cluster: "failback",
      failback: { interval: "500ms", jitter: 0.2 },
      balancer: "smooth-weighted-round-robin",
    }),
    notices: provider({ instances: 4, serviceTime: "3ms" }),
  },
  load: poisson("100/s").on("shop").for("4s"),
  // A fixed interval brings all back at the same moment: https://github.com/apache/dubbo-go/issues/3179
  timeline: [at("1500ms").kill("notices/0")],
  expect: [
    successRate("notices").atLeast("99%").detects("84%"),
    delivery("notices").within("1s").atLeast("99%").detects("82%").during("1500ms..4s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
