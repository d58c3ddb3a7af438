import { at, consumer, poisson, provider, scenario, successRate, traces } from "../harness/scenario/builders.ts";

export default scenario({
  name: "trace-of-a-retry",
  title: {
    en: "A trace shows which attempt was lost, two hops away",
    zh: "调用链告诉你：两跳之外，丢的是哪一次尝试",
  },
  explanation: {
    en: "orders calls payments for each call. For two seconds nothing gets from orders to payments/1: an attempt that meets it waits 80 ms in vain and is retried on payments/0. The storefront sees only that some calls are slow. The trace of such a call shows why: under orders' one call of payments lie two client spans, and the first ends DEADLINE_EXCEEDED. The server span under it begins only seconds later, when the network is back and TCP sends the request again, and ends at once, CANCELLED: the time went by on the way, and not in payments. Spans that were open when the fault began bear it as an event.",
    zh: "orders 处理每次调用时都要调用 payments。有两秒钟，从 orders 发往 payments/1 的数据全都到不了：碰上它的尝试白等 80 ms，然后换到 payments/0 重试。storefront 只看得出有些调用变慢了，而这种调用的调用链说明了原因：orders 对 payments 的一次调用下面有两个客户端 span，第一个以 DEADLINE_EXCEEDED 结束。它下面的服务端 span 过了几秒才开始——网络恢复后 TCP 重发了那个请求——并且立刻以 CANCELLED 结束：时间耗在了路上，不在 payments 里面。故障开始时尚未结束的 span 会把这次故障记为一个事件。",
  },
  tags: [],
  tracing: { sample: 1 },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({
      instances: 2,
      serviceTime: "2ms",
      calls: "payments",
      timeout: "500ms",
      attemptTimeout: "80ms",
      balancer: "smooth-weighted-round-robin",
    }),
    payments: provider({ instances: 2, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("60/s").on("storefront").for("8s"),
  timeline: [at("2s").blackhole({ from: "orders", to: "payments/1" }, { for: "2s" })],
  expect: [successRate("orders").atLeast("99%").detects("90%"), traces("payments").detects("2%")],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
