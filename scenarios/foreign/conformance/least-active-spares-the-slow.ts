import { property } from "../../../harness/conformance/property.ts";
import { formatShare, shareOf, within } from "../../../harness/conformance/measures.ts";
import { constant, provider, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "balancing",
  promise: { en: "Least-active balancing sends a slow provider fewer calls", zh: "最少活跃数均衡会少给慢的提供者派活" },
  expected: "fails",
  finding: {
    en: "The counters that it compares are kept by the filter `active`, which isn't among the default filters: all are 0, and the choice is random.",
    zh: "它所比较的计数由过滤器 `active` 维护，而默认过滤器里没有它：计数全是 0，选择就成了随机。",
  },
  issues: ["https://github.com/apache/dubbo/issues/737"],
  scenario: scenario({
    name: "least-active-spares-the-slow",
    title: { en: "One of two providers is slow", zh: "两个提供者里有一个慢" },
    explanation: {
      en: "orders/1 takes 20 times as long as orders/0. Who counts what is in flight gives it little.",
      zh: "orders/1 的耗时是 orders/0 的 20 倍。会数在途调用的人不会多派给它。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { LOAD_BALANCE: "leastactive" }),
      orders: provider({
        groups: [
          { instances: 1, serviceTime: "5ms" },
          { instances: 1, serviceTime: "100ms" },
        ],
      }),
    },
    load: constant("100/s").on("storefront").for("4s"),
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  }),
  measure: (history) =>
    within(
      shareOf(history, "orders", "orders/1", {}),
      (slow) => slow < 0.35,
      (slow) => ({
        en: `${formatShare(slow)} of the calls went to the slow one of two (wanted: below 35%)`,
        zh: `两个里慢的那个得到 ${formatShare(slow)} 的调用（应低于 35%）`,
      }),
    ),
});
