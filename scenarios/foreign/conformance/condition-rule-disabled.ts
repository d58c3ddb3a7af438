import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.0
scope: service
force: true
runtime: true
enabled: false
key: flyball.worker.v1.Worker
conditions:
  - => region=r2
`;

export default property({
  area: "routing",
  promise: { en: "A condition rule that is disabled has no effect", zh: "未启用的条件路由规则不起作用" },
  expected: "fails",
  finding: {
    en: "`force` and `enabled` are swapped when a v3.0 rule is read (dynamic_router.go): it counts as enabled.",
    zh: "读取 v3.0 规则时 `force` 和 `enabled` 弄反了（dynamic_router.go），规则被当成已启用。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3656"],
  scenario: scenario({
    name: "condition-rule-disabled",
    title: { en: "A rule with enabled: false", zh: "enabled: false 的规则" },
    explanation: {
      en: "The rule is switched off, so both regions get calls.",
      zh: "规则已关闭，两个区域都应得到调用。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" }),
      orders: provider({
        groups: ["r1", "r2"].map((region) => ({
          instances: 1,
          foreign: dubboGo({ REGISTRATION: "interface", PARAMETERS: `region=${region}` }),
        })),
      }),
    },
    rules: { "flyball.worker.v1.Worker::orders.condition-router": rule },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [share("orders").byInstance({ "orders/0": 1, "orders/1": 1 }).detects(1.6)],
  }),
});
