import { property } from "../../../harness/conformance/property.ts";
import { at, constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
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
    en: "An override rule that is published while calls go on takes effect",
    zh: "调用进行当中发布的覆盖规则会生效",
  },
  expected: "fails",
  finding: {
    en: "The change is heard, but instances that are known already aren't made anew of it: FIXME: this doesn't trigger dir.overrideUrl() (registry/directory/directory.go).",
    zh: "变化听到了，但已知的实例不会据此重建：源码里写着 FIXME: this doesn't trigger dir.overrideUrl()（registry/directory/directory.go）。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/742", "https://github.com/apache/dubbo-go/issues/1322"],
  scenario: scenario({
    name: "override-published-later",
    title: { en: "The same rule, a second later", zh: "同一条规则，晚一秒发布" },
    explanation: {
      en: "The rule of override-by-address, which takes effect when it is there at the start, is published while calls go on.",
      zh: "override-by-address 的规则在启动时就在的话会生效；这里在调用进行当中发布。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" }),
      orders: provider({ groups: ["r1", "r2"].map((region) => ({ instances: 1, labels: { region } })) }),
    },
    load: constant("150/s").on("storefront").for("5s"),
    timeline: [at("1s").publish("storefront.configurators", rule)],
    expect: [share("orders").during("2s..5s").byInstance({ "orders/0": 25, "orders/1": 75 }).detects(1.9)],
  }),
});
