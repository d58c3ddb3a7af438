import { property } from "../../../harness/conformance/property.ts";
import { formatShare, shareOf, within } from "../../../harness/conformance/measures.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "registration",
  promise: {
    en: "A provider that was killed and comes back at once is called again",
    zh: "被杀死后立刻回来的提供者会重新得到调用",
  },
  expected: "holds",
  issues: ["https://github.com/apache/dubbo-go/issues/2220"],
  scenario: scenario({
    name: "quick-restart",
    title: { en: "Killed, and back after half a second", zh: "杀死，半秒后回来" },
    explanation: {
      en: "orders/1 comes back at the same address before the registration of its former life has expired, which then goes away.",
      zh: "orders/1 在同一地址回来时，前世的注册信息还没过期；不久后那份信息才消失。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { SESSION_TIMEOUT: "3s" }),
      orders: dubboGoProvider({ instances: 2 }, { SESSION_TIMEOUT: "3s" }),
    },
    load: constant("100/s").on("storefront").for("12s"),
    timeline: [at("1s").kill("orders/1", { for: "500ms" })],
    expect: [successRate("orders").atLeast("95%").detects("85%")],
  }),
  measure: (history) =>
    within(
      shareOf(history, "orders", "orders/1", { during: "8s..12s" }),
      (back) => back > 0.2,
      (back) => ({
        en: `from 6.5 s after its return on, ${formatShare(back)} of the calls went to it (wanted: half)`,
        zh: `回来 6.5 秒之后，${formatShare(back)} 的调用给了它（应为一半）`,
      }),
    ),
});
