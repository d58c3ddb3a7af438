import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
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
    en: "A condition rule in Nacos sends calls only where it says",
    zh: "Nacos 里的条件路由规则只把调用送往它指定的地方",
  },
  expected: "holds",
  scenario: scenario({
    name: "condition-rule-in-nacos",
    title: { en: "A rule for region r2, in Nacos", zh: "Nacos 里一条指向 r2 的规则" },
    explanation: {
      en: "Providers in the regions r1 and r2; a rule that is enabled and forced sends every call to r2. It is a configuration of Nacos's, in the group dubbo.",
      zh: "r1、r2 两个区域各有提供者；一条启用且强制的规则把所有调用送往 r2。它是 Nacos 中 dubbo 分组的一份配置。",
    },
    registry: { like: "nacos" },
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
