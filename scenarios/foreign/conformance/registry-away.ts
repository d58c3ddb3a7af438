import { property } from "../../../harness/conformance/property.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: { en: "While the registry is away, calls go on", zh: "注册中心失联时，调用照常" },
  expected: "holds",
  scenario: scenario({
    name: "registry-away",
    title: { en: "The registry freezes for 4 s", zh: "注册中心冻结 4 秒" },
    explanation: {
      en: "ZooKeeper stands still for longer than the sessions live. Nobody learns anything new, and nobody has to.",
      zh: "ZooKeeper 停顿的时间比会话还长。谁也得不到新消息，也不需要。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders", retries: 0 }, { SESSION_TIMEOUT: "1500ms" }),
      orders: dubboGoProvider({ instances: 2 }, { SESSION_TIMEOUT: "1500ms" }),
    },
    load: constant("140/s").on("storefront").for("10s"),
    timeline: [at("1s").pause("registry", { for: "4s" })],
    expect: [successRate("orders").atLeast("99%").detects("95%")],
  }),
});
