import { property } from "../../../harness/conformance/property.ts";
import { formatShare, shareOf, within } from "../../../harness/conformance/measures.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "A provider that was restarted in order gets its share of the calls again within seconds",
    zh: "有序重启的提供者，几秒之内就重新得到它那份调用",
  },
  expected: "fails",
  finding: {
    en: "A consumer that was told of the shutdown leaves the address out for 30 s (closing-invoker-expire-time), whatever the registry says meanwhile.",
    zh: "消费者得知停机后，会在 30 秒内（closing-invoker-expire-time）不用这个地址，不管注册中心此间说了什么。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3615"],
  scenario: scenario({
    name: "restart-in-order",
    title: { en: "SIGTERM, and back at once", zh: "SIGTERM，随即回来" },
    explanation: {
      en: "orders/1 is stopped in order and started again at the same address, as a rolling update on fixed addresses does.",
      zh: "有序停止 orders/1，并在同一地址重新启动，就像地址固定的滚动升级那样。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("12s"),
    timeline: [at("500ms").restart("orders/1")],
    expect: [successRate("orders").atLeast("80%").detects("50%")],
  }),
  measure: (history) =>
    within(
      shareOf(history, "orders", "orders/1", { during: "9s..12s" }),
      (back) => back > 0.2,
      (back) => ({
        en: `4 s after its return, ${formatShare(back)} of the calls went to it (wanted: half)`,
        zh: `回来 4 秒之后，${formatShare(back)} 的调用给了它（应为一半）`,
      }),
    ),
});
