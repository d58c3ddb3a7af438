import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "routing",
  promise: {
    en: "Calls without a tag reach a service whose providers all have one",
    zh: "不带标签的调用能到达全员带标签的服务",
  },
  expected: "fails",
  finding: {
    en: "Untagged calls are given untagged providers only, even when there are none: every call fails with No provider available.",
    zh: "不带标签的调用只配给不带标签的提供者，一个都没有也照样如此：每次调用都以 No provider available 失败。",
  },
  issues: [],
  scenario: scenario({
    name: "tagged-provider-untagged-call",
    title: { en: "Only gray providers", zh: "只有灰度提供者" },
    explanation: {
      en: "Both providers are tagged gray. A call without a tag has nowhere else to go.",
      zh: "两个提供者都带 gray 标签，不带标签的调用别无去处。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", READY_WITHIN: "0s" }),
      orders: provider({ instances: 2, tag: "gray" }),
    },
    load: constant("100/s").on("storefront").for("2s"),
    expect: [successRate("orders").atLeast("99%").detects("80%")],
  }),
});
