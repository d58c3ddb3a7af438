import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.1
scope: service
force: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - from:
      match: ""
    to:
      - match: region=r1
        weight: 20
      - match: region=r2
        weight: 80
`;

export default property({
  area: "routing",
  promise: {
    en: "A traffic split (condition rule v3.1) gives each destination its weight's share",
    zh: "流量拆分（v3.1 条件规则）按权重分给各个去向",
  },
  expected: "holds",
  scenario: scenario({
    name: "traffic-split",
    title: { en: "20 to r1, 80 to r2", zh: "r1 二成，r2 八成" },
    explanation: {
      en: "A v3.1 rule splits the calls 20 to 80 between two regions.",
      zh: "一条 v3.1 规则把调用按 20 比 80 分给两个区域。",
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
    load: constant("150/s").on("storefront").for("5s"),
    expect: [share("orders").byInstance({ "orders/0": 20, "orders/1": 80 }).detects(1.9)],
  }),
});
