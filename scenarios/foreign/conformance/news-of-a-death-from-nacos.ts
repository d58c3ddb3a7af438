import { property } from "../../../harness/conformance/property.ts";
import { at, constant, noDeadCalls, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "In Nacos a killed provider lives no longer than its connection: consumers hear of it within a second or two",
    zh: "在 Nacos 里，被杀死的提供者与它的连接同寿：消费者一两秒内就能得知",
  },
  expected: "holds",
  scenario: scenario({
    name: "news-of-a-death-from-nacos",
    title: { en: "SIGKILL, with Nacos over gRPC", zh: "SIGKILL，经 gRPC 使用 Nacos" },
    explanation: {
      en: "dubbo-go speaks gRPC with Nacos: the server takes an instance out when its connection breaks, gathers changes for half a second, and pushes.",
      zh: "dubbo-go 用 gRPC 与 Nacos 通信：连接一断，服务器就摘除实例，把半秒内的变化攒在一起推送。",
    },
    registry: { like: "nacos" },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("6s"),
    timeline: [at("1s").kill("orders/1")],
    expect: [noDeadCalls("orders").within("2s").detects("1s")],
  }),
});
