import { property } from "../../../harness/conformance/property.ts";
import { at, constant, noDeadCalls, provider, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "A consumer that lost its connection, but not its session, hears of what happens afterwards",
    zh: "断过连接但会话未失的消费者，之后的消息照样能听到",
  },
  expected: "holds",
  issues: ["https://github.com/apache/dubbo-go/issues/259"],
  scenario: scenario({
    name: "news-after-a-reconnect",
    title: { en: "A stop after a short cut", zh: "短暂断开之后，有人离场" },
    explanation: {
      en: "The consumer is cut off from ZooKeeper for 3 s; its session lives 20 s. Then orders/1 leaves in order.",
      zh: "把消费者与 ZooKeeper 隔开 3 秒，而它的会话有 20 秒。随后 orders/1 有序离场。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", SESSION_TIMEOUT: "20s" }),
      orders: provider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("11s"),
    timeline: [at("500ms").partition({ from: "storefront", to: "registry" }, { for: "3s" }), at("6s").stop("orders/1")],
    expect: [noDeadCalls("orders").within("2s").detects("1s")],
  }),
});
