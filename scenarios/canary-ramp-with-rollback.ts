import { at, consumer, poisson, provider, rollback, scenario, successRate } from "../harness/scenario/builders.ts";

const key = "orders.canary-router";

/** The canary document; the rollout fills in the percentage. */
const canary = `configVersion: v1.0
scope: service
key: orders
enabled: true
split:
  - tag: v2
    percent: \${percent}
`;

export default scenario({
  name: "canary-ramp-with-rollback",
  title: { en: "A bad canary is found out and taken back by itself", zh: "有问题的灰度版本被自动发现并回滚" },
  explanation: {
    en: "Version v2 fails four calls of ten. A rollout gives it 10 % of the calls, then 30 %, then 60 %, one second each, and looks at every first attempt with Wald's sequential test: is 1 % of errors likelier, or 10 %? It may be asked after each call, so the answer comes as soon as the calls allow, here after some twenty; then 0 % is published. Users hardly notice: retries stay on v2, but three tries rarely all fail.",
    zh: "v2 版本十次调用失败四次。放量过程依次给它 10 %、30 %、60 % 的调用，每级一秒，并用 Wald 序贯检验观察每次首次尝试：错误率更像 1 %，还是更像 10 %？它可以在每次调用之后发问，证据一够就有答案，这里大约二十次调用；随即发布 0 %。用户几乎察觉不到：重试虽然仍在 v2 上，但三次都失败的情形很少。",
  },
  tags: ["routing"],
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({
      groups: [
        { instances: 2, tag: "v1" },
        { instances: 2, tag: "v2", errorRate: "40%" },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  rules: { [key]: canary.replace("${percent}", "0") },
  load: poisson("220/s").on("storefront").for("7s"),
  timeline: [
    at("500ms").rollout("orders", {
      tag: "v2",
      key,
      content: canary,
      percents: [10, 30, 60],
      every: "1s",
      acceptable: "1%",
      unacceptable: "10%",
    }),
  ],
  expect: [rollback("orders", "v2").by("4500ms").detects("2%"), successRate("orders").atLeast("98%").detects("93%")],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
