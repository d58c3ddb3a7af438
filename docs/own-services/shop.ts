import { at, constant, consumer, latency, provider, recovery, scenario, successRate } from "flyball/scenario";

export default scenario({
  name: "own-services",
  title: { en: "Services of one's own lose an instance", zh: "自己的服务失去一个实例" },
  explanation: {
    en: "An instance of orders is killed. Its callers find out at their next call and take another; nobody's call is lost.",
    zh: "orders 的一个实例被杀死。调用方在下一次调用时发现，并换一个实例；没有调用丢失。",
  },
  fleet: {
    shop: consumer({ instances: 1, calls: "orders", timeout: "1s", retries: 2 }),
    orders: provider({ instances: 3, own: { file: "./orders.ts", config: { stock: 5000 } }, calls: "prices" }),
    prices: provider({ instances: 2, own: { file: "./prices.ts" } }),
  },
  load: constant("100/s").on("shop").for("5s"),
  timeline: [at("2s").kill("orders/1", { for: "1s" })],
  expect: [
    successRate("orders").atLeast("99%").detects("90%"),
    latency("orders").p90("200ms").detects("30%"),
    recovery("orders").p99Below("400ms").within("500ms").after("3s").detects("500ms"),
  ],
  agreement: { success: 0.03 },
});
