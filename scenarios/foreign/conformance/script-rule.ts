import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `scope: application
key: orders
type: javascript
enabled: true
script: |
  (function route(invokers, invocation, context) {
    return invokers.filter(function (invoker) { return invoker.GetURL().GetParam("region", "") === "r2"; });
  }(invokers, invocation, context));
`;

export default property({
  area: "routing",
  promise: { en: "A script rule sends calls only where it says", zh: "脚本路由规则只把调用送往它指定的地方" },
  expected: "holds",
  scenario: scenario({
    name: "script-rule",
    title: { en: "A script for region r2", zh: "一段指向 r2 的脚本" },
    explanation: {
      en: "Providers in the regions r1 and r2; a script of the provider's application keeps those of r2.",
      zh: "r1、r2 两个区域各有提供者；提供者应用的一段脚本只留下 r2 的。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" }),
      orders: provider({ groups: ["r1", "r2"].map((region) => ({ instances: 1, labels: { region } })) }),
    },
    rules: { "orders.script-router": rule },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [share("orders").byInstance({ "orders/0": 0, "orders/1": 1 }).detects(1.5)],
  }),
});
