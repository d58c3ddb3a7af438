import { property } from "../../../harness/conformance/property.ts";
import { partOf, formatShare, within } from "../../../harness/conformance/measures.ts";
import { attemptsPerCall, constant, provider, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: {
    en: "The timeout that a reference is given is the one that counts",
    zh: "给引用设置的超时，就是生效的超时",
  },
  expected: "fails",
  finding: {
    en: "The client's timeout wins over the reference's; without either it is 3 s.",
    zh: "客户端的超时压过引用的；两个都没设时是 3 秒。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/2796"],
  scenario: scenario({
    name: "timeout-of-a-reference",
    title: { en: "300 ms for a reference", zh: "引用上的 300 毫秒" },
    explanation: {
      en: "A provider takes 2 s; the reference has a timeout of 300 ms, its client one of 5 s.",
      zh: "提供者要花 2 秒；引用的超时是 300 毫秒，客户端的是 5 秒。",
    },
    fleet: {
      storefront: dubboGoConsumer(
        { calls: "orders", timeout: "300ms", retries: 0 },
        { CLUSTER: "failfast", CLIENT_TIMEOUT: "5s" },
      ),
      orders: provider({ instances: 2, serviceTime: "2s" }),
    },
    load: constant("30/s").on("storefront").for("3s"),
    expect: [attemptsPerCall("orders").atMost(1.2).detects(2)],
  }),
  measure: (history) =>
    within(
      partOf(history, "orders", {}, ({ code }) => code === "DEADLINE_EXCEEDED"),
      (late) => late > 0.9,
      (late) => ({
        en: `${formatShare(late)} of the calls ended after 300 ms with DEADLINE_EXCEEDED (wanted: all)`,
        zh: `${formatShare(late)} 的调用在 300 毫秒后以 DEADLINE_EXCEEDED 结束（应为全部）`,
      }),
    ),
});
