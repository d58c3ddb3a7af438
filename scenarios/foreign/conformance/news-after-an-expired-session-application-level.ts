import { property } from "../../../harness/conformance/property.ts";
import { at, constant, noDeadCalls, provider, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "At application level, too, a consumer whose session expired hears of what happens afterwards",
    zh: "在应用级，会话过期过的消费者之后的消息也照样能听到",
  },
  expected: "holds",
  scenario: scenario({
    name: "news-after-an-expired-session-application-level",
    title: { en: "The same at application level", zh: "应用级的同样情形" },
    explanation: {
      en: "As news-after-an-expired-session, with registrations at application level.",
      zh: "与 news-after-an-expired-session 相同，只是用应用级注册。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { SESSION_TIMEOUT: "1s" }),
      orders: provider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("13s"),
    timeline: [at("500ms").partition({ from: "storefront", to: "registry" }, { for: "4s" }), at("8s").stop("orders/1")],
    expect: [noDeadCalls("orders").within("2s").detects("1s")],
  }),
});
