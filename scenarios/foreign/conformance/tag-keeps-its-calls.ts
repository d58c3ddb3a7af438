import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "routing",
  promise: { en: "Calls with a tag go to the providers with that tag", zh: "带标签的调用去往带同一标签的提供者" },
  expected: "holds",
  scenario: scenario({
    name: "tag-keeps-its-calls",
    title: { en: "Calls for gray", zh: "灰度调用" },
    explanation: {
      en: "orders/1 is tagged gray, and the consumer's calls carry that tag.",
      zh: "orders/1 带 gray 标签，消费者的调用也带。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CALL_TAG: "gray" }),
      orders: provider({ groups: [{ instances: 1 }, { instances: 1, tag: "gray" }] }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [share("orders").byTag({ "-": 0, gray: 1 }).detects(1.5)],
  }),
});
