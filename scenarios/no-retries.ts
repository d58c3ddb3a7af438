import {
  at,
  attemptsPerCall,
  consumer,
  noDeadCalls,
  poisson,
  provider,
  recovery,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "no-retries",
  title: {
    en: "Without retries everybody pays until the registry notices",
    zh: "没有重试，在注册中心发觉之前人人买单",
  },
  explanation: {
    en: "Two of four instances are lost as in node-loss, but the callers are failfast: each call that meets a dead one fails. How many do depends on one thing only, how long the registry goes on listing them: the session timeout, plus a tick, plus the push. Double the timeout and the damage doubles.",
    zh: "四个实例像 node-loss 里那样死了两个，但调用方是 failfast：落到死实例上的调用都失败。失败多少只取决于一件事：注册中心还要把它们列多久，也就是会话超时，加一个检查周期，再加一次推送。超时翻倍，损失也翻倍。",
  },
  tags: [],
  registry: { sessionTimeout: "600ms", tick: "100ms" },
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("1500ms").kill("orders/1"), at("1500ms").kill("orders/2")],
  expect: [
    successRate("orders").atLeast("92%").detects("80%"),
    attemptsPerCall("orders").atMost(1.02).detects(1.4).during("1500ms..2500ms"),
    noDeadCalls("orders").within("1500ms").detects("1s"),
    recovery("orders").after("1500ms").within("1500ms").atLeast("99%").detects("1s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
