import { at, constant, consumer, provider, scenario, share, successRate } from "../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "./dubbo-go/fleet.ts";

/** A traffic split (v3.1) of the shops' calls between two regions. */
const split = (r1: number, r2: number): string => `configVersion: v3.1
scope: service
force: true
runtime: true
enabled: true
key: flyball.worker.v1.Worker
conditions:
  - from:
      match: application=shop,shop-go
    to:
      - match: region=r1
        weight: ${r1}
      - match: region=r2
        weight: ${r2}
`;

/** A caller stays in its region while a quarter of the instances are there. */
const atHome = `configVersion: v3.1
scope: service
runtime: true
enabled: true
key: flyball.worker.v1.Worker
affinityAware: { key: region, ratio: 25 }
`;

/** As Dubbo 2 wrote it: the only form that dubbo-go 3.3.2 takes note of, and only if it is there at the start. */
const heavier = `configVersion: v3.0
scope: service
key: flyball.worker.v1.Worker
enabled: true
configs:
  - addresses: ["0.0.0.0:20880"]
    parameters: { "~region": r2, weight: "300" }
`;

const splitKey = "flyball.worker.v1.Worker::orders.condition-router";
const interfaceLevel = { REGISTRATION: "interface" };
const ruled = { ...interfaceLevel, CONFIG_CENTER: "${configCenter}" };
/** What is true of consumers of either make. */
const ofBoth = <T>(name: string, fact: (consumer: string) => T): readonly T[] => [fact(name), fact(`${name}-go`)];
const shares = (...parts: readonly number[]): Readonly<Record<string, number>> =>
  Object.fromEntries(parts.map((part, index) => [`orders/${index}`, part]));

export default scenario({
  name: "three-rules-two-makes",
  title: {
    en: "Traffic splits, affinity and overrides, too, mean the same to Flyball's consumers and dubbo-go's",
    zh: "流量拆分、亲和与覆盖规则，对 Flyball 和 dubbo-go 的消费者也是一个意思",
  },
  explanation: {
    en: "Each consumer of Flyball's has a twin of dubbo-go's, and three documents of Dubbo's are there for both. A v3.1 condition rule splits the shops' calls 30 to 70 between region r1, which Flyball serves, and r2, which dubbo-go serves; at 4 s it is published anew as 70 to 30. An affinity rule keeps the neighbours, who live in r1, at home. An override of the buyers gives r2 the weight 300: one word of it, `side`, and dubbo-go 3.3.2 would ignore it; published later, too.",
    zh: "Flyball 的每个消费者都有一个 dubbo-go 的孪生兄弟，三份 Dubbo 文档对两者都有效。一条 v3.1 条件规则把 shop 的调用按 30 比 70 分给 Flyball 提供的 r1 与 dubbo-go 提供的 r2；4 秒时重新发布为 70 比 30。一条亲和规则让住在 r1 的 neighbour 留在本地。一条 buyer 的覆盖规则把 r2 的权重设为 300：只要多写一个 `side`，dubbo-go 3.3.2 就会忽略它；晚些发布也一样。",
  },
  tags: ["foreign", "routing"],
  fleet: {
    shop: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random" }),
    "shop-go": dubboGoConsumer({ calls: "orders" }, ruled),
    neighbour: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      balancer: "weighted-random",
      labels: { region: "r1" },
    }),
    "neighbour-go": dubboGoConsumer({ calls: "orders" }, { ...ruled, PARAMETERS: "region=r1" }),
    buyer: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random" }),
    "buyer-go": dubboGoConsumer({ calls: "orders" }, ruled),
    orders: provider({
      groups: [
        { instances: 2, labels: { region: "r1" } },
        { instances: 1, foreign: dubboGo({ ...interfaceLevel, PARAMETERS: "region=r2" }) },
      ],
    }),
  },
  rules: {
    [splitKey]: split(30, 70),
    "flyball.worker.v1.Worker::orders.affinity-router": atHome,
    ...Object.fromEntries(ofBoth("buyer", (name) => [`${name}.configurators`, heavier])),
  },
  load: [
    ...ofBoth("shop", (name) => constant("100/s").on(name).for("8s")),
    ...ofBoth("neighbour", (name) => constant("20/s").on(name).for("8s")),
    ...ofBoth("buyer", (name) => constant("60/s").on(name).for("8s")),
  ],
  timeline: [at("4s").publish(splitKey, split(70, 30))],
  expect: [
    successRate("orders").atLeast("99%").detects("92%"),
    ...ofBoth("shop", (name) =>
      share("orders")
        .from(name)
        .during("0s..4s")
        .byInstance(shares(15, 15, 70))
        .detects(2.5),
    ),
    ...ofBoth("shop", (name) =>
      share("orders")
        .from(name)
        .during("5s..8s")
        .byInstance(shares(35, 35, 30))
        .detects(2.1),
    ),
    ...ofBoth("neighbour", (name) =>
      share("orders")
        .from(name)
        .byInstance(shares(1, 1, 0))
        .detects(1.9),
    ),
    ...ofBoth("buyer", (name) =>
      share("orders")
        .from(name)
        .byInstance(shares(20, 20, 60))
        .detects(2.2),
    ),
  ],
});
