import {
  abandonedWork,
  at,
  consumer,
  poisson,
  provider,
  recovery,
  scenario,
  taskFates,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "cascading-deadline",
  title: {
    en: "One deadline for the whole chain: when it is over, everybody stops",
    zh: "整条链路共用一个截止时间：时间一到，人人停手",
  },
  explanation: {
    en: "storefront gives orders 400 ms, orders calls payments, payments calls ledger. Each passes on what is left of the time, 30 ms less so that it can still answer. For three seconds ledger takes twenty times as long. Its callers hear so in time, each before its own caller has gone, and no task in any tier goes on when its deadline has passed: a slow leaf costs its callers their patience, and nobody any work in vain.",
    zh: "storefront 给 orders 400 毫秒，orders 调用 payments，payments 调用 ledger。每一层把剩下的时间传下去，并少给 30 毫秒，好让自己还来得及答复。三秒之内 ledger 慢到二十倍。每一层都及时得知，赶在自己的调用方离开之前；截止时间一过，任何一层的任务都不再继续。叶子慢，调用方赔上的只是耐心，没有人白干。",
  },
  tags: [],
  tasks: true,
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "400ms",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({
      instances: 2,
      calls: "payments",
      timeout: "1s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
      deadlineMargin: "30ms",
      serviceTime: { exponential: { mean: "3ms" } },
    }),
    payments: provider({
      instances: 2,
      calls: "ledger",
      timeout: "1s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
      deadlineMargin: "30ms",
      serviceTime: { exponential: { mean: "3ms" } },
    }),
    ledger: provider({ instances: 2, serviceTime: { exponential: { mean: "10ms" } } }),
  },
  load: poisson("100/s").on("storefront").for("8s"),
  timeline: [at("2s").slow("ledger", { factor: 20, for: "3s" })],
  expect: [
    abandonedWork("ledger").within("50ms").detects("20%"),
    taskFates("payments").only("answered", "out-of-time", "given-up").detects("2%"),
    taskFates("orders").only("answered", "out-of-time", "given-up").detects("2%"),
    recovery("orders").after("5s").within("500ms").atLeast("99%").p99Below("300ms").detects("1s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
