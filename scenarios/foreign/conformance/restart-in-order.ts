import { property } from "../../../harness/conformance/property.ts";
import { formatShare, shareOf, within } from "../../../harness/conformance/measures.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

/** Several, for with one it is a race: between the provider's own notice and the registry's. */
const restarted = ["orders/1", "orders/2", "orders/3"];

export default property({
  area: "life",
  promise: {
    en: "A provider that was restarted in order gets its share of the calls again within seconds",
    zh: "有序重启的提供者，几秒之内就重新得到它那份调用",
  },
  expected: "fails",
  finding: {
    en: "A consumer that was told of the shutdown leaves the address out for 30 s (closing-invoker-expire-time), whatever the registry says meanwhile; unless it hears first that the address is gone, which happens to one in a few.",
    zh: "消费者得知停机后，会在 30 秒内（closing-invoker-expire-time）不用这个地址，不管注册中心此间说了什么；除非它先听说这个地址没了，几个里面会有一个如此。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3615"],
  scenario: scenario({
    name: "restart-in-order",
    title: { en: "SIGTERM, and back at once", zh: "SIGTERM，随即回来" },
    explanation: {
      en: "Three of four providers are stopped in order and started again at the same addresses, as a rolling update on fixed addresses does.",
      zh: "有序停止四个提供者中的三个，并在同样的地址重新启动，就像地址固定的滚动升级那样。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 4 }),
    },
    load: constant("100/s").on("storefront").for("12s"),
    timeline: restarted.map((id) => at("500ms").restart(id)),
    expect: [successRate("orders").atLeast("80%").detects("50%")],
  }),
  measure: (history) => {
    const shares = restarted.map((id) => shareOf(history, "orders", id, { during: "9s..12s" }));
    const known = shares.filter((share) => share !== undefined);
    return within(
      known.length < shares.length ? undefined : Math.min(...known),
      (least) => least > 0.1,
      (least) => ({
        en: `4 s after their return, one of three got ${formatShare(least)} of the calls (wanted: a quarter)`,
        zh: `回来 4 秒之后，三个之一得到 ${formatShare(least)} 的调用（应为四分之一）`,
      }),
    );
  },
});
