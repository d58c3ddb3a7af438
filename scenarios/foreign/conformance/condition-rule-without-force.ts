import { property } from "../../../harness/conformance/property.ts";
import { at, constant, provider, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.0
scope: service
runtime: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - => region=r2
`;

export default property({
  area: "routing",
  promise: {
    en: "A rule document that lacks a key doesn't kill who reads it",
    zh: "少写一个键的规则文档不会弄死读它的进程",
  },
  expected: "fails",
  finding: {
    en: "The key is read through a pointer that is nil without it: the goroutine that watches rules panics, and the process ends.",
    zh: "缺了这个键，读取时就会解引用空指针：监听规则的 goroutine 崩溃，进程随之退出。",
  },
  issues: [],
  scenario: scenario({
    name: "condition-rule-without-force",
    title: { en: "A rule without `force`", zh: "没写 `force` 的规则" },
    explanation: {
      en: "Somebody publishes a condition rule and forgets `force`, which has a default.",
      zh: "有人发布了一条条件规则，漏写了本有默认值的 `force`。",
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
    load: constant("100/s").on("storefront").for("4s"),
    timeline: [at("1s").publish("flyball.worker.v1.Worker::orders.condition-router", rule)],
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  }),
});
