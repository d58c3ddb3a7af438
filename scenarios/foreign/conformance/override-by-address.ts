import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.0
scope: service
key: flyball.worker.v1.Worker
enabled: true
configs:
  - addresses: ["0.0.0.0:20880"]
    parameters: { "~region": r2, weight: "300" }
`;

export default property({
  area: "routing",
  promise: {
    en: "An override rule in Dubbo 2's format (an address, conditions with a tilde) sets what it says",
    zh: "Dubbo 2 格式（地址加波浪号条件）的覆盖规则说什么就是什么",
  },
  expected: "holds",
  scenario: scenario({
    name: "override-by-address",
    title: { en: "Weight 300 for region r2, by address and ~region", zh: "用地址和 ~region 把 r2 区域的权重设为 300" },
    explanation: {
      en: "As override-by-match, with the address that all providers have and the condition as a parameter.",
      zh: "与 override-by-match 相同，但写的是所有提供者都有的地址，条件写成参数。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" }),
      orders: provider({ groups: ["r1", "r2"].map((region) => ({ instances: 1, labels: { region } })) }),
    },
    rules: { "storefront.configurators": rule },
    load: constant("150/s").on("storefront").for("5s"),
    expect: [share("orders").byInstance({ "orders/0": 25, "orders/1": 75 }).detects(1.9)],
  }),
});
