import { property } from "../../../harness/conformance/property.ts";
import { at, constant, noDeadCalls, provider, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: { en: "A consumer hears that a provider has left", zh: "消费者能得知提供者已经离场" },
  expected: "holds",
  scenario: scenario({
    name: "news-of-a-stop",
    title: { en: "A stop", zh: "有人离场" },
    explanation: {
      en: "orders/1 leaves in order: the same as in news-after-an-expired-session, without the expired session.",
      zh: "orders/1 有序离场：与 news-after-an-expired-session 相同，只是会话没有过期。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", SESSION_TIMEOUT: "1s" }),
      orders: provider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("6s"),
    timeline: [at("1s").stop("orders/1")],
    expect: [noDeadCalls("orders").within("2s").detects("1s")],
  }),
});
