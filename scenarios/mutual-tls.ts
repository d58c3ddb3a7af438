import { callsEnd, consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

const calling = { instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" } as const;

export default scenario({
  name: "mutual-tls",
  title: {
    en: "A certificate says who calls, and a rule says what he may",
    zh: "证书说明谁在调用，规则规定他能做什么",
  },
  explanation: {
    en: "All nodes talk over mutual TLS, registry and config centre included: the harness makes an authority and a certificate for each service, for this run alone. orders lets storefront call `Do` and nobody else: warehouse is one of the fleet, proves it, and is PERMISSION_DENIED. No caller signs anything; the connection says who it is. In `sim` there is no TLS, only the identity that it would prove.",
    zh: "所有节点之间都走双向 TLS，注册中心和配置中心也不例外：测试台为这次运行现做一个签发机构，给每个服务发一张证书。orders 只允许 storefront 调用 `Do`：warehouse 也是机群的一员，证书可以作证，但得到 PERMISSION_DENIED。没有谁需要签名，连接本身就说明了身份。`sim` 里没有 TLS，只有它所证明的身份。",
  },
  tags: ["security"],
  fleet: {
    storefront: consumer({ ...calling }),
    warehouse: consumer({ ...calling }),
    orders: provider({
      instances: 2,
      serviceTime: { exponential: { mean: "5ms" } },
      guard: { allow: [{ callers: ["storefront"], methods: ["Do"] }] },
    }),
  },
  security: { mtls: true },
  load: [poisson("75/s").on("storefront").for("5s"), poisson("45/s").on("warehouse").for("5s")],
  expect: [
    successRate("orders").from("storefront").atLeast("99%").detects("86%"),
    callsEnd("orders", "PERMISSION_DENIED").from("warehouse").atLeast("99%").detects("75%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
