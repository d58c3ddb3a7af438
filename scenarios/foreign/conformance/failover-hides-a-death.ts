import { property } from "../../../harness/conformance/property.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: {
    en: "Failover hides the death of one provider of three",
    zh: "三个提供者死掉一个，failover 让调用方毫无察觉",
  },
  expected: "holds",
  scenario: scenario({
    name: "failover-hides-a-death",
    title: { en: "SIGKILL with retries", zh: "SIGKILL，有重试" },
    explanation: {
      en: "orders/1 is killed. Calls that meet it are tried on another.",
      zh: "杀死 orders/1，碰上它的调用换一个再试。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 3 }),
    },
    load: constant("100/s").on("storefront").for("6s"),
    timeline: [at("1s").kill("orders/1")],
    expect: [successRate("orders").atLeast("99%").detects("92%")],
  }),
});
