import {
  at,
  callsEnd,
  consumer,
  poisson,
  provider,
  scenario,
  share,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "clock-step",
  title: { en: "A clock jumps, and signatures look like forgeries", zh: "时钟跳变，合法的签名看上去像伪造的" },
  explanation: {
    en: "Storefront signs its calls, and a signature is good for 5 s around the provider's own wall clock. At 2 s the clock of orders/1 jumps by ten minutes: from that moment it takes every call for an old one that somebody replays and refuses it UNAUTHENTICATED. At 5 s a time server puts it right, and all is well at once. Nothing else goes by the wall clock: the deadlines of calls, the heartbeats by which orders/1 stays in the registry and the callers' timers are on the monotonic one, so nobody times out, nobody is thrown out of the list, and orders/1 keeps its third of the calls all the while. That is the lesson's other half: it looks healthy to everybody.",
    zh: "storefront 给每次调用签名，签名时间与提供者自己的墙上时钟相差 5 秒以内才有效。第 2 秒，orders/1 的时钟跳了十分钟：从这一刻起，它把每次调用都当成有人在重放旧请求，以 UNAUTHENTICATED 拒绝。第 5 秒，校时服务把它拨回来，一切立刻恢复。除此之外没有什么看墙上时钟：调用的截止时间、让 orders/1 留在注册中心的心跳、调用方的定时器都走单调时钟，所以没有人超时，也没有人被踢出列表，orders/1 始终分到三分之一的调用。这正是这一课的另一半：在所有人眼里，它都是健康的。",
  },
  tags: ["security", "machine"],
  fleet: {
    storefront: consumer({
      instances: 2,
      calls: "orders",
      timeout: "3s",
      balancer: "smooth-weighted-round-robin",
      credentials: { accessKey: "storefront" },
    }),
    orders: provider({
      instances: 3,
      serviceTime: { exponential: { mean: "5ms" } },
      guard: { accessKeys: ["storefront"], maxSkew: "5s" },
    }),
  },
  load: poisson("150/s").on("storefront").for("7s"),
  timeline: [at("2s").clockStep("orders/1", { by: "10m" }), at("5s").clockStep("orders/1", { by: "-10m" })],
  expect: [
    callsEnd("orders", "UNAUTHENTICATED").during("2100ms..5s").atLeast("30%").detects("10%"),
    successRate("orders").during("2100ms..5s").atLeast("65%").detects("40%"),
    successRate("orders").outside("2s..5100ms").atLeast("99%").detects("90%"),
    share("orders").byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 1 }).detects(1.5),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
