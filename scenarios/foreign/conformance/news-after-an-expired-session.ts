import { property } from "../../../harness/conformance/property.ts";
import { at, constant, noDeadCalls, provider, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "A consumer whose session expired hears of what happens afterwards",
    zh: "会话过期过的消费者，之后的消息照样能听到",
  },
  expected: "fails",
  finding: {
    en: "At interface level the watches of the expired session aren't set again: the consumer registers itself anew, and never hears of providers or rules any more.",
    zh: "在接口级，过期会话上的监听没有重新建立：消费者会重新注册自己，却再也听不到提供者和规则的变化。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/259", "https://github.com/apache/dubbo-go/issues/956"],
  scenario: scenario({
    name: "news-after-an-expired-session",
    title: { en: "A stop after an expired session", zh: "会话过期之后，有人离场" },
    explanation: {
      en: "The consumer is cut off from ZooKeeper until its session has expired, and gets it back. Then orders/1 leaves in order.",
      zh: "把消费者与 ZooKeeper 隔开，直到会话过期，再恢复。随后 orders/1 有序离场。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", SESSION_TIMEOUT: "1s" }),
      orders: provider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("13s"),
    timeline: [at("500ms").partition({ from: "storefront", to: "registry" }, { for: "4s" }), at("8s").stop("orders/1")],
    expect: [noDeadCalls("orders").within("2s").detects("1s")],
  }),
});
