import { property } from "../../../harness/conformance/property.ts";
import { longestCallMs, within } from "../../../harness/conformance/measures.ts";
import { attemptsPerCall, constant, provider, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: { en: "A call is over when its timeout is, retries included", zh: "一次调用（连同重试）在超时时间内结束" },
  expected: "fails",
  finding: {
    en: "Each attempt gets the whole timeout anew: the caller waits three times as long.",
    zh: "每次尝试都重新得到完整的超时时间：调用方要等三倍。",
  },
  issues: [],
  scenario: scenario({
    name: "timeout-covers-retries",
    title: { en: "Too slow for its timeout", zh: "慢过了超时" },
    explanation: {
      en: "A provider takes 3 s; the timeout is 300 ms, with two retries.",
      zh: "提供者要花 3 秒；超时是 300 毫秒，重试两次。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders", timeout: "300ms" }, { READY_WITHIN: "0s" }),
      orders: provider({ instances: 2, serviceTime: "3s" }),
    },
    load: constant("50/s").on("storefront").for("3s"),
    expect: [attemptsPerCall("orders").atMost(2.5).detects(3)],
  }),
  measure: (history) =>
    within(
      longestCallMs(history, "orders", {}),
      (longest) => longest < 600,
      (longest) => ({
        en: `the longest call took ${Math.round(longest)} ms (wanted: 300 ms and a little)`,
        zh: `最长的调用用了 ${Math.round(longest)} 毫秒（应为 300 毫秒左右）`,
      }),
    ),
});
