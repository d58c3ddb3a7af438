import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.0
scope: service
force: false
runtime: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - => region=r2
`;

export default property({
  area: "routing",
  promise: {
    en: "A condition rule that isn't forced takes effect while somebody matches",
    zh: "未设强制的条件路由规则，只要有人匹配就生效",
  },
  expected: "fails",
  finding: {
    en: "`force` and `enabled` are swapped when a v3.0 rule is read (dynamic_router.go): it counts as disabled.",
    zh: "读取 v3.0 规则时 `force` 和 `enabled` 弄反了（dynamic_router.go），规则被当成未启用。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3656", "https://github.com/apache/dubbo-admin/issues/1523"],
  scenario: scenario({
    name: "condition-rule-not-forced",
    title: { en: "A rule with force: false", zh: "force: false 的规则" },
    explanation: {
      en: "`force` says what happens when nobody matches: error or everybody. Somebody in r2 matches here.",
      zh: "`force` 决定没人匹配时怎么办：报错还是放开。这里 r2 里有人匹配。",
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
    expect: [share("orders").byInstance({ "orders/0": 0, "orders/1": 1 }).detects(1.5)],
  }),
});
