import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "registration",
  promise: {
    en: "Providers that somebody else registered at interface level are found, and called",
    zh: "别人以接口级注册的提供者找得到，也调得通",
  },
  expected: "holds",
  scenario: scenario({
    name: "finds-others-interface-level",
    title: { en: "Flyball's providers at interface level", zh: "以接口级注册的 Flyball 提供者" },
    explanation: {
      en: "Two Flyball providers, a dubbo-go consumer that looks for them at interface level.",
      zh: "两个 Flyball 提供者，一个在接口级查找它们的 dubbo-go 消费者。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface" }),
      orders: provider({ instances: 2 }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [successRate("orders").atLeast("99%").detects("85%"), share("orders").byInstance("equal").detects(1.7)],
  }),
});
