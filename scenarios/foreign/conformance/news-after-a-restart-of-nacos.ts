import { property } from "../../../harness/conformance/property.ts";
import { at, constant, noDeadCalls, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "When Nacos was restarted and has forgotten everybody, consumers hear of what happens afterwards",
    zh: "Nacos 重启、忘掉所有人之后，消费者照样能听到之后的消息",
  },
  expected: "holds",
  scenario: scenario({
    name: "news-after-a-restart-of-nacos",
    title: { en: "Nacos is killed and comes back, then a provider dies", zh: "Nacos 被杀死后回来，随后一个提供者宕机" },
    explanation: {
      en: "Nacos keeps instances in memory: after its restart it knows nobody until its clients have come back and registered and subscribed anew. 10 s later orders/1 is killed.",
      zh: "Nacos 把实例放在内存里：重启之后谁也不认识，直到客户端回来，重新注册、重新订阅。10 秒后杀死 orders/1。",
    },
    registry: { like: "nacos" },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }),
    },
    load: constant("60/s").on("storefront").for("20s"),
    timeline: [at("500ms").kill("registry", { for: "1s" }), at("15s").kill("orders/1")],
    expect: [noDeadCalls("orders").within("2s").detects("1s")],
  }),
});
