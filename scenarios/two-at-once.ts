import { at, consumer, latency, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "two-at-once",
  title: { en: "Two are asked at once, so that nobody waits for the slow one", zh: "同时问两个，就不必等慢的那个" },
  explanation: {
    en: "The shop asks for quotes by forking: each call goes to two instances at once, the first good answer wins and the other attempt is cancelled. One of four instances takes 400 ms for what the others do in 4 ms, and later dies. The shop waits for it in neither state: another instance has answered long before, and nobody had to find out first who is ill. The visitor makes one attempt a call (failfast): every fourth of his calls takes 400 ms, and later fails. Failover would help him with the dead one only, since it tries again what fails and not what is slow. The price of forking is twice the load, at all times.",
    zh: "商店用 forking 询价：每次调用同时发给两个实例，谁先给出好的答复就用谁，另一个取消。四个实例里有一个要 400 毫秒才做完别人 4 毫秒的活，后来还宕机了。它慢也好，死也好，商店都不等它：另一个实例早就答复了，也不必先查出是谁病了。访客每次调用只试一次（failfast）：每四次就有一次要等 400 毫秒，后来就失败。换成 failover 也只能对付死的那个，因为它只重试失败的，不管慢的。forking 的代价是任何时候都是双倍的负载。",
  },
  tags: [],
  fleet: {
    shop: consumer({
      instances: 1,
      calls: "quotes",
      timeout: "1s",
      cluster: "forking",
      balancer: "smooth-weighted-round-robin",
    }),
    visitor: consumer({
      instances: 1,
      calls: "quotes",
      timeout: "1s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    quotes: provider({
      groups: [
        { instances: 1, serviceTime: "400ms" },
        { instances: 3, serviceTime: "4ms" },
      ],
    }),
  },
  load: [poisson("100/s").on("shop").for("5s"), poisson("80/s").on("visitor").for("5s")],
  timeline: [at("2500ms").kill("quotes/0")],
  expect: [
    successRate("quotes").from("shop").atLeast("99%").detects("84%"),
    latency("quotes").from("shop").percentile(98, "150ms").detects("22%").during("0s..2500ms"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
