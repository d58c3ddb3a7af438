import { accessLog, at, consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

const key = "orders.configurators";

/** The log of every instance. */
const on = `configVersion: v3.0
scope: application
key: orders
enabled: true
configs:
  - side: provider
    parameters: { accesslog: true }
`;

export default scenario({
  name: "access-log-on",
  title: { en: "An access log is switched on and off live", zh: "在线打开、关闭访问日志" },
  explanation: {
    en: "Somebody wants to see who calls orders, and with what. At 2 s an operator publishes an override with `accesslog: true`: from then on each instance writes one line for each call that it serves, in Dubbo's format, and nobody is restarted. At 6 s the rule is taken back, and the log is silent again. The lines are in the history and in a file for each instance (`access-orders-0.log`).",
    zh: "有人想看看谁在调用 orders、带着什么参数。第 2 秒，运维发布一条带 `accesslog: true` 的覆盖规则：从这时起，每个实例每服务一次调用就写一行日志，格式与 Dubbo 相同，也不用重启任何进程。第 6 秒规则撤回，日志随即安静下来。这些行既在历史记录里，也在每个实例各自的文件里（`access-orders-0.log`）。",
  },
  tags: ["observability"],
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("120/s").on("storefront").for("7s"),
  timeline: [at("2s").publish(key, on), at("6s").remove(key)],
  expect: [
    accessLog("orders").on("2s").off("6s").within("500ms").detects("3%"),
    successRate("orders").atLeast("99%").detects("92%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
