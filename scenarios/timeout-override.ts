import {
  at,
  consumer,
  latency,
  poisson,
  provider,
  scenario,
  share,
  successRate,
} from "../harness/scenario/builders.ts";

/** A second chance for every call, a limit for the method, and a short one for attempts at the slow instance. */
const hurried = `configVersion: v3.0
scope: service
key: orders
enabled: true
configs:
  - side: consumer
    parameters: { retries: 2, Do.timeout: 400 }
  - side: provider
    match: { param: [ { key: instance, value: { exact: orders/2 } } ] }
    parameters: { timeout: 50 }
`;

/** Nobody calls the slow instance any more. */
const without = `${hurried}  - side: provider
    match: { param: [ { key: instance, value: { exact: orders/2 } } ] }
    parameters: { disabled: true }
`;

export default scenario({
  name: "timeout-override",
  title: { en: "A timeout is changed live, without a restart", zh: "不重启，在线改超时" },
  explanation: {
    en: "orders/2 takes 250 ms for what the others do in 5 ms, and nobody retries. Two seconds in, an operator publishes an override: attempts at orders/2 end after 50 ms, calls get two retries and 400 ms in all. From then on the slow third of the calls is answered elsewhere within a fraction of the time; at 5 s the override takes orders/2 out altogether. No process is restarted.",
    zh: "别的实例 5 毫秒做完的事，orders/2 要 250 毫秒，而且没有人重试。两秒之后，运维发布一条覆盖规则：访问 orders/2 的每次尝试最多 50 毫秒，调用可重试两次、总共 400 毫秒。从这时起，慢的那三分之一调用很快就在别处得到应答；到第 5 秒，覆盖规则干脆把 orders/2 摘掉。整个过程没有重启任何进程。",
  },
  tags: ["routing"],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      retries: 0,
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({
      groups: [
        { instances: 2, serviceTime: "5ms" },
        { instances: 1, serviceTime: "250ms" },
      ],
    }),
  },
  load: poisson("150/s").on("storefront").for("8s"),
  // A timeout that was lost on the way: https://github.com/apache/dubbo-go/issues/2796
  timeline: [at("2s").publish("orders.configurators", hurried), at("5s").publish("orders.configurators", without)],
  expect: [
    successRate("orders").atLeast("99%").detects("94%"),
    latency("orders").percentile(90, "150ms").detects("32%").during("2500ms..5s"),
    share("orders").byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 0 }).detects(1.6).during("5500ms..8s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
