import { property } from "../../../harness/conformance/property.ts";
import { at, constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.0
scope: service
force: true
runtime: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - => region=r2
`;

export default property({
  area: "routing",
  promise: {
    en: "A rule document that can't be read leaves the last good rule in force",
    zh: "读不懂的规则文档不会取代上一条好的规则",
  },
  expected: "fails",
  finding: {
    en: "The error is logged and the rule is cleared: calls go everywhere.",
    zh: "只记一条错误日志，规则却被清空：调用又流向各处。",
  },
  issues: [],
  scenario: scenario({
    name: "broken-rule-keeps-the-last",
    title: { en: "A broken rule after a good one", zh: "好规则之后来了一条坏的" },
    explanation: {
      en: "A rule sends all calls to r2. Then somebody publishes a document that is no YAML.",
      zh: "先有一条规则把所有调用送往 r2，随后有人发布了一份根本不是 YAML 的文档。",
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
    load: constant("100/s").on("storefront").for("5s"),
    timeline: [
      at("1s").publish("flyball.worker.v1.Worker::orders.condition-router", "conditions: [=> region=r2\n  enabled"),
    ],
    expect: [share("orders").byInstance({ "orders/0": 0, "orders/1": 1 }).detects(1.5)],
  }),
});
