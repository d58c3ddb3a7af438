import { property } from "../../../harness/conformance/property.ts";
import { formatShare, partOf, within } from "../../../harness/conformance/measures.ts";
import { constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: {
    en: "A call that the provider's limiter rejects ends with RESOURCE_EXHAUSTED",
    zh: "被提供者限流器拒绝的调用以 RESOURCE_EXHAUSTED 结束",
  },
  expected: "fails",
  finding: {
    en: "The default handler of a rejection only logs it and answers an empty result, which Triple can't write as a protobuf message: the caller sees INTERNAL, and tries the limiter twice more.",
    zh: "默认的拒绝处理只记日志并返回空结果，而 Triple 无法把它写成 protobuf 消息：调用方看到 INTERNAL，并且又去碰了两次限流器。",
  },
  issues: [],
  scenario: scenario({
    name: "limiter-says-no",
    title: { en: "Twice what the limiter lets through", zh: "两倍于限流" },
    explanation: {
      en: "A provider lets 50 calls a second through, and gets 100.",
      zh: "提供者每秒放行 50 次，却来了 100 次。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 1 }, { CALLS_PER_SECOND: "50" }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [successRate("orders").atLeast("20%").detects("1%")],
  }),
  measure: (history) =>
    within(
      partOf(history, "orders", {}, ({ code }) => code !== "OK" && code !== "RESOURCE_EXHAUSTED"),
      (other) => other === 0,
      (other) => ({
        en: `${formatShare(other)} of the calls ended with another error (wanted: none)`,
        zh: `${formatShare(other)} 的调用以别的错误结束（应当没有）`,
      }),
    ),
});
