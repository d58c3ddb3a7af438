import { consumer, poisson, provider, scenario, successRate, traces } from "../../harness/scenario/builders.ts";
import { dubboGo } from "./dubbo-go/fleet.ts";

export default scenario({
  name: "trace-through-two-languages",
  title: { en: "One trace through TypeScript and Go", zh: "一条调用链，贯穿 TypeScript 与 Go" },
  explanation: {
    en: "The storefront calls orders, and orders calls payments, which dubbo-go serves. Both runtimes carry the W3C trace context in the call's metadata and send their spans to one store, so every call is one connected trace: dubbo-go's server span lies under the client span of the attempt that it answered.",
    zh: "storefront 调用 orders，orders 再调用由 dubbo-go 提供的 payments。两种运行时都把 W3C 追踪上下文放在调用的元数据里，并把 span 发往同一个存储，所以每次调用都是一条连通的调用链：dubbo-go 的服务端 span 就挂在它所应答的那次尝试的客户端 span 之下。",
  },
  tags: ["foreign"],
  tracing: { sample: 1 },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s" }),
    orders: provider({ instances: 1, calls: "payments", timeout: "500ms" }),
    payments: provider({ groups: [{ instances: 2, foreign: dubboGo({ SERVICE_TIME: "2ms" }) }] }),
  },
  load: poisson("60/s").on("storefront").for("6s"),
  expect: [successRate("orders").atLeast("99%").detects("85%"), traces("payments").detects("5%")],
});
