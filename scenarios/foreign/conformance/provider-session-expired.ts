import { property } from "../../../harness/conformance/property.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { formatShare, shareOf, within } from "../../../harness/conformance/measures.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "A provider whose session expired is registered again, and is called again",
    zh: "会话过期过的提供者会重新注册，并重新得到调用",
  },
  expected: "holds",
  issues: ["https://github.com/apache/dubbo/issues/5125"],
  scenario: scenario({
    name: "provider-session-expired",
    title: {
      en: "orders/1 loses ZooKeeper for longer than its session",
      zh: "orders/1 与 ZooKeeper 断开的时间超过了会话",
    },
    explanation: {
      en: "orders/1 is cut off from ZooKeeper until its session has expired and its registration is gone, and gets it back. What is left of the old session must not take the new registration along.",
      zh: "把 orders/1 与 ZooKeeper 隔开，直到会话过期、注册消失，再恢复。旧会话的残余不能把新注册一起带走。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }, { SESSION_TIMEOUT: "1s" }),
    },
    load: constant("100/s").on("storefront").for("13s"),
    timeline: [at("500ms").partition({ from: "orders/1", to: "registry" }, { for: "4s" })],
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  }),
  measure: (history) => {
    const [away, back] = [
      shareOf(history, "orders", "orders/1", { during: "3500ms..4500ms" }),
      shareOf(history, "orders", "orders/1", { during: "10s..13s" }),
    ];
    if (away !== undefined && away > 0.1) {
      const evidence = { en: "its session didn't expire", zh: "它的会话没有过期" };
      return { outcome: "unmeasured", evidence };
    }
    return within(
      back,
      (share) => share > 0.35,
      (share) => ({
        en: `from 5.5 s after its return on, ${formatShare(share)} of the calls went to it (wanted: half)`,
        zh: `恢复 5.5 秒之后，${formatShare(share)} 的调用给了它（应为一半）`,
      }),
    );
  },
});
