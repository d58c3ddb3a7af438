import {
  at,
  consumer,
  delivery,
  poisson,
  provider,
  scenario,
  share,
  successRate,
} from "../harness/scenario/builders.ts";

/** In turn, so that shares are no matter of luck. */
const balancer = "smooth-weighted-round-robin";

export default scenario({
  name: "cluster-strategies",
  title: {
    en: "One dead instance, five callers, five ideas of what a failure is",
    zh: "一个实例宕机，五个调用方，五种对失败的理解",
  },
  explanation: {
    en: "orders/0 dies and stays listed until its session expires. The audit log (failsafe) never hears of it, and loses the calls that met it. Notices (failback) hear nothing either, but theirs are redelivered half a second later. Quotes (forking) ask two instances at once, so that one of them answers. The cache (broadcast) has to reach every instance, and does while all live. The report (available) always asks the first one, until that can't be reached. Each is right for its own calls and wrong for the others'.",
    zh: "orders/0 宕机，会话过期之前却一直在列表里。审计日志（failsafe）对此一无所知，落到它身上的调用就丢了。通知（failback）同样不会报错，但半秒之后会重新投递。报价（forking）同时问两个实例，总有一个会答。缓存（broadcast）必须通知到每个实例，只要都活着就能做到。报表（available）永远问第一个，直到连不上为止。每种策略只适合它自己的那类调用。",
  },
  tags: [],
  fleet: {
    audit: consumer({ instances: 1, calls: "orders", cluster: "failsafe", balancer, timeout: "500ms" }),
    notices: consumer({
      instances: 1,
      calls: "orders",
      cluster: "failback",
      balancer,
      failback: { interval: "500ms", jitter: 0.2 },
      timeout: "500ms",
    }),
    quotes: consumer({ instances: 1, calls: "orders", cluster: "forking", balancer, timeout: "500ms" }),
    cache: consumer({ instances: 1, calls: "orders", cluster: "broadcast", timeout: "500ms" }),
    report: consumer({ instances: 1, calls: "orders", cluster: "available", timeout: "500ms" }),
    orders: provider({ instances: 4, serviceTime: "3ms" }),
  },
  load: ["audit", "notices", "quotes", "cache", "report"].map((name) => poisson("40/s").on(name).for("7s")),
  timeline: [at("2s").kill("orders/0")],
  expect: [
    successRate("orders").from("audit").atLeast("99%").detects("82%"),
    delivery("orders").from("audit").within("500ms").atLeast("72%").detects("40%"),
    delivery("orders").from("notices").within("1s").atLeast("98%").detects("80%"),
    successRate("orders").from("quotes").atLeast("98%").detects("80%"),
    delivery("orders").toEvery().from("cache").within("500ms").atLeast("97%").detects("35%").during("0s..1900ms"),
    share("orders").byInstance({ "orders/0": 1 }).from("report").detects(2).during("0s..1900ms"),
    successRate("orders").from("report").atLeast("92%").detects("65%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
