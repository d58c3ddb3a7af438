import {
  at,
  consumer,
  poisson,
  provider,
  ruleRejected,
  scenario,
  share,
  successRate,
} from "../harness/scenario/builders.ts";

const key = "orders.condition-router";

const only = (region: string): string => `configVersion: v3.0
scope: application
force: true
runtime: true
enabled: true
key: orders
conditions:
  - => region=${region}
`;

/** The last line lacks its value: with \`force\` it would leave nobody, without it everybody. */
const malformed = only("r1").replace("region=r1", "region=");

export default scenario({
  name: "malformed-rule",
  title: { en: "A rule that can't be read changes nothing", zh: "读不懂的规则，什么都不会改变" },
  explanation: {
    en: "A rule sends every call to region r1. At 2 s somebody publishes it again with the value missing: every caller refuses it, says at which line it is wrong, and goes on by the last version that it could read. At 5 s a correct one for r2 takes effect at once.",
    zh: "一条规则把所有调用送往 r1。第 2 秒有人重新发布了它，却漏写了值：每个调用方都拒绝它，指出错在第几行，并继续按最后一个读得懂的版本执行。第 5 秒发布的正确规则（去 r2）立即生效。",
  },
  tags: ["routing"],
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({
      groups: [
        { instances: 1, labels: { region: "r1" } },
        { instances: 1, labels: { region: "r2" } },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  rules: { [key]: only("r1") },
  load: poisson("100/s").on("storefront").for("7s"),
  timeline: [at("2s").publish(key, malformed), at("5s").publish(key, only("r2"))],
  expect: [
    ruleRejected("orders", key),
    share("orders").byInstance({ "orders/0": 1, "orders/1": 0 }).detects(1.03).during("0s..5s"),
    share("orders").byInstance({ "orders/0": 0, "orders/1": 1 }).detects(1.08).during("5500ms..7s"),
    successRate("orders").atLeast("99%").detects("91%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
