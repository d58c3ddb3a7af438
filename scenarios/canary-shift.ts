import { at, consumer, poisson, provider, scenario, share, sticky, successRate } from "../harness/scenario/builders.ts";

/** The canary document: this many percent of the users go to v2. */
const canary = (percent: number): string => `configVersion: v1.0
scope: service
key: orders
enabled: true
hashKey: user-id
split:
  - tag: v2
    percent: ${percent}
`;

export default scenario({
  name: "canary-shift",
  title: { en: "A canary grows, and every user stays on one version", zh: "灰度逐步放量，每个用户始终只见到一个版本" },
  explanation: {
    en: "The config centre sends 20 % of the users to version v2, and 50 % four seconds later. A user's bucket is a hash of the user id, so each user sees one version as long as the rule stands, and growing the canary moves new users in without moving any out.",
    zh: "配置中心先把 20 % 的用户分给 v2 版本，四秒后改为 50 %。用户落入哪个桶由用户 id 的哈希决定：规则不变，用户就一直停在同一个版本上；放量时只有新用户进入，没有用户被挤出。",
  },
  tags: ["tour"],
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "1s", key: { name: "user-id", count: 1000 } }),
    orders: provider({
      groups: [
        { instances: 2, tag: "v1" },
        { instances: 2, tag: "v2" },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  rules: { "orders.canary-router": canary(20) },
  load: poisson("200/s").on("storefront").for("8s"),
  timeline: [at("4s").publish("orders.canary-router", canary(50))],
  expect: [
    share("orders").byTag({ v1: 0.8, v2: 0.2 }).ofKeys().detects(2).during("0s..4s"),
    share("orders").byTag({ v1: 0.5, v2: 0.5 }).ofKeys().detects(1.5).during("4500ms..8s"),
    sticky("orders").detects("5%"),
    successRate("orders").atLeast("99%").detects("95%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
