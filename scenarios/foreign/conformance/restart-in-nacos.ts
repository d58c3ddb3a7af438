import { property } from "../../../harness/conformance/property.ts";
import { formatShare, partOf, within } from "../../../harness/conformance/measures.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "In Nacos, too, a provider that was restarted in order is called again, half a minute later at the latest",
    zh: "在 Nacos 里也一样：有序重启的提供者最迟半分钟后重新得到调用",
  },
  expected: "fails",
  finding: {
    en: "A consumer that was told of the shutdown leaves the address out for 30 s, and throws away what Nacos says of it meanwhile. Nacos says nothing more: the provider isn't seen again until something else changes.",
    zh: "消费者得知停机后 30 秒内不用这个地址，并且丢掉 Nacos 此间关于它的消息。此后 Nacos 不再说什么：在别的变化发生之前，这个提供者再也看不见了。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3615"],
  scenario: scenario({
    name: "restart-in-nacos",
    title: { en: "The only provider is restarted", zh: "唯一的提供者重启" },
    explanation: {
      en: "orders/0 is stopped in order and started again at the same address; nothing else happens for the next half minute.",
      zh: "有序停止 orders/0，并在同一地址重新启动；此后半分钟里什么也不发生。",
    },
    registry: { like: "nacos" },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 1 }),
    },
    load: constant("20/s").on("storefront").for("42s"),
    timeline: [at("500ms").restart("orders/0")],
    expect: [successRate("orders").atLeast("10%").detects("0%")],
  }),
  measure: (history) =>
    within(
      partOf(history, "orders", { during: "38s..42s" }, ({ code }) => code === "OK"),
      (served) => served > 0.9,
      (served) => ({
        en: `more than 30 s after its return, ${formatShare(served)} of the calls succeeded (wanted: all)`,
        zh: `回来 30 多秒之后，${formatShare(served)} 的调用成功（应为全部）`,
      }),
    ),
});
