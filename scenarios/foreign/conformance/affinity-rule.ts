import { property } from "../../../harness/conformance/property.ts";
import { at, constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

const near = (ratio: number): string => `configVersion: v3.1
scope: service
key: flyball.worker.v1.Worker
runtime: true
enabled: true
affinityAware: { key: region, ratio: ${ratio} }
`;
const key = "flyball.worker.v1.Worker::orders.affinity-router";

export default property({
  area: "routing",
  promise: {
    en: "An affinity rule keeps calls near while those nearby are enough, and lets them go where they aren't",
    zh: "亲和规则在近处实例足够时把调用留在近处，不够时放开",
  },
  expected: "holds",
  scenario: scenario({
    name: "affinity-rule",
    title: { en: "One of three is near: 20 %, then 50 %", zh: "三个里有一个在近处：先要求 20 %，再要求 50 %" },
    explanation: {
      en: "A consumer of region r1 with one provider in r1 and two elsewhere. With ratio 20 all calls stay in r1; the rule is then published anew with ratio 50, which one of three doesn't reach.",
      zh: "消费者在 r1 区域，r1 有一个提供者，别处有两个。ratio 为 20 时所有调用留在 r1；随后规则重新发布为 50，三个里的一个达不到。",
    },
    fleet: {
      storefront: dubboGoConsumer(
        { calls: "orders" },
        { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}", PARAMETERS: "region=r1" },
      ),
      orders: provider({ groups: ["r1", "r2", "r3"].map((region) => ({ instances: 1, labels: { region } })) }),
    },
    rules: { [key]: near(20) },
    load: constant("150/s").on("storefront").for("6s"),
    timeline: [at("2500ms").publish(key, near(50))],
    expect: [
      share("orders").during("0s..2500ms").byInstance({ "orders/0": 1, "orders/1": 0, "orders/2": 0 }).detects(1.5),
      share("orders").during("3500ms..6s").byInstance("equal").detects(1.9),
    ],
  }),
});
