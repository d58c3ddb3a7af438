import { property } from "../../../harness/conformance/property.ts";
import { constant, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "balancing",
  promise: {
    en: "Round-robin spreads calls evenly over providers that are registered at application level",
    zh: "轮询把调用均匀地分给以应用级注册的提供者",
  },
  expected: "holds",
  scenario: scenario({
    name: "round-robin-application-level",
    title: { en: "Round-robin at application level", zh: "应用级注册下的轮询" },
    explanation: {
      en: "Three dubbo-go providers at application level, a dubbo-go consumer that balances by round-robin.",
      zh: "三个以应用级注册的 dubbo-go 提供者，一个用轮询的 dubbo-go 消费者。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { LOAD_BALANCE: "roundrobin" }),
      orders: dubboGoProvider({ instances: 3 }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [share("orders").byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 1 }).detects(1.9)],
  }),
});
