import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "registration",
  promise: {
    en: "Providers that somebody else registered in Nacos at application level are found, and called",
    zh: "别人在 Nacos 里以应用级注册的提供者找得到，也调得通",
  },
  expected: "holds",
  scenario: scenario({
    name: "finds-others-in-nacos-application-level",
    title: { en: "Flyball's providers in Nacos, at application level", zh: "在 Nacos 里以应用级注册的 Flyball 提供者" },
    explanation: {
      en: "Two Flyball providers, a dubbo-go consumer that looks for them in Nacos at application level.",
      zh: "两个 Flyball 提供者，一个在 Nacos 里按应用级查找它们的 dubbo-go 消费者。",
    },
    registry: { like: "nacos" },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "application" }),
      orders: provider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [successRate("orders").atLeast("99%").detects("85%"), share("orders").byInstance("equal").detects(1.7)],
  }),
});
