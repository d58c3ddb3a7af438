import { property } from "../../../harness/conformance/property.ts";
import { formatShare, partOf, within } from "../../../harness/conformance/measures.ts";
import { constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: { en: "A call that the provider's limiter rejects fails", zh: "被提供者限流器拒绝的调用会失败" },
  expected: "fails",
  finding: {
    en: "The default handler of a rejection logs it and answers an empty reply, status OK.",
    zh: "默认的拒绝处理只记日志，然后返回一个空的应答，状态却是 OK。",
  },
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
      partOf(history, "orders", {}, ({ code, message }) => code === "OK" && message !== undefined),
      (empty) => empty === 0,
      (empty) => ({
        en: `${formatShare(empty)} of the calls ended OK with an empty reply (wanted: none)`,
        zh: `${formatShare(empty)} 的调用以空应答“成功”（应当没有）`,
      }),
    ),
});
