import { property } from "../../../harness/conformance/property.ts";
import { at, constant, provider, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `scope: application
key: orders
type: javascript
script: |
  (function route(invokers, invocation, context) {
    return invokers.filter(function (invoker) { return invoker.GetURL().GetParam("region", "") === "r2"; });
  }(invokers, invocation, context));
`;

export default property({
  area: "routing",
  promise: {
    en: "A script rule that lacks a key doesn't kill who reads it",
    zh: "少写一个键的脚本规则不会弄死读它的进程",
  },
  expected: "fails",
  finding: {
    en: "`enabled` is read through a pointer that is nil without it: the goroutine that watches rules panics, and the process ends.",
    zh: "`enabled` 经由指针读取，缺了它就是空指针：监听规则的 goroutine 崩溃，进程随之退出。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3644", "https://github.com/apache/dubbo-go/pull/3682"],
  scenario: scenario({
    name: "script-rule-without-enabled",
    title: { en: "A script without `enabled`", zh: "没写 `enabled` 的脚本" },
    explanation: {
      en: "Somebody publishes a script rule and forgets `enabled`, which has a default.",
      zh: "有人发布了一条脚本规则，漏写了本有默认值的 `enabled`。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" }),
      orders: provider({ groups: ["r1", "r2"].map((region) => ({ instances: 1, labels: { region } })) }),
    },
    load: constant("100/s").on("storefront").for("4s"),
    timeline: [at("1s").publish("orders.script-router", rule)],
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  }),
});
