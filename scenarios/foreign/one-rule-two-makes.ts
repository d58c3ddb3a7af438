import { at, constant, consumer, provider, scenario, share, successRate } from "../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "./dubbo-go/fleet.ts";

/** Forced and enabled, both said: dubbo-go 3.3.2 has the two mixed up, and dies of a document that lacks one. */
const shopsTo = (region: string): string => `configVersion: v3.0
scope: service
force: true
runtime: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - application=storefront,storefront-go => region=${region}
`;

const testersToR3 = `configVersion: v3.0
force: true
enabled: true
key: orders
tags:
  - name: gray
    match:
      - key: region
        value: { exact: r3 }
`;

const conditionKey = "flyball.worker.v1.Worker::orders.condition-router";
const ruled = { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" };
const only = (...instances: readonly number[]): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Array.from({ length: 6 }, (_, index) => [`orders/${index}`, instances.includes(index) ? 1 / instances.length : 0]),
  );
/** What is true of consumers of either make. */
const ofBoth = <T>(name: string, fact: (consumer: string) => T): readonly T[] => [fact(name), fact(`${name}-go`)];

export default scenario({
  name: "one-rule-two-makes",
  title: {
    en: "One rule document steers Flyball's consumers and dubbo-go's to the same instances",
    zh: "同一份规则文档，把 Flyball 与 dubbo-go 的消费者引向同样的实例",
  },
  explanation: {
    en: "Each consumer of Flyball's has a twin of dubbo-go's. One condition rule sends the calls of the storefronts to region r1, which Flyball serves; at 2.5 s it is published anew with r2, which dubbo-go serves, and both follow within a second. One tag rule makes region r3 the gray lane: the testers' calls, which carry dubbo.tag=gray, go there and nowhere else. Documents, keys and groups are Dubbo's; nobody reads a translation. What the two makes don't share is left alone here: dubbo-go 3.3.2 misreads `force` and `enabled` unless both are true, and at interface level its weight=0 starves its own providers beside others.",
    zh: "Flyball 的每个消费者都有一个 dubbo-go 的孪生兄弟。一条条件规则把 storefront 们的调用送往 Flyball 提供的 r1 区域；2.5 秒时它被重新发布为指向 dubbo-go 提供的 r2，两者都在一秒内跟上。一条标签规则让 r3 区域成为灰度泳道：测试者的调用带着 dubbo.tag=gray，只去那里。文档、键和分组都是 Dubbo 自己的，谁也不读译本。两者不一致之处这里避而不谈：dubbo-go 3.3.2 会读错 `force` 与 `enabled`，除非两者都为 true；接口级注册时，它的 weight=0 会让自家提供者在别人旁边分不到调用。",
  },
  tags: ["foreign", "routing"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random" }),
    "storefront-go": dubboGoConsumer({ calls: "orders" }, ruled),
    tester: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random", tag: "gray" }),
    "tester-go": dubboGoConsumer({ calls: "orders" }, { ...ruled, CALL_TAG: "gray" }),
    orders: provider({
      groups: [
        { instances: 2, labels: { region: "r1" } },
        { instances: 2, foreign: dubboGo({ REGISTRATION: "interface", PARAMETERS: "region=r2" }) },
        { instances: 2, foreign: dubboGo({ REGISTRATION: "interface", PARAMETERS: "region=r3" }) },
      ],
    }),
  },
  rules: { [conditionKey]: shopsTo("r1"), "orders.tag-router": testersToR3 },
  load: [
    ...ofBoth("storefront", (name) => constant("70/s").on(name).for("6s")),
    ...ofBoth("tester", (name) => constant("30/s").on(name).for("6s")),
  ],
  timeline: [at("2500ms").publish(conditionKey, shopsTo("r2"))],
  expect: [
    successRate("orders").atLeast("99%").detects("92%"),
    ...ofBoth("storefront", (name) =>
      share("orders").from(name).during("0s..2500ms").byInstance(only(0, 1)).detects(1.7),
    ),
    ...ofBoth("storefront", (name) =>
      share("orders").from(name).during("3500ms..6s").byInstance(only(2, 3)).detects(1.7),
    ),
    ...ofBoth("tester", (name) => share("orders").from(name).byInstance(only(4, 5)).detects(1.7)),
  ],
});
