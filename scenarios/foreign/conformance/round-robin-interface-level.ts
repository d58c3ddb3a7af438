import { property } from "../../../harness/conformance/property.ts";
import { constant, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "balancing",
  promise: {
    en: "Round-robin spreads calls evenly over providers that are registered at interface level",
    zh: "轮询把调用均匀地分给以接口级注册的提供者",
  },
  expected: "fails",
  finding: {
    en: "A provider registers weight=0 whatever its user asked for (server/action.go), and smooth weighted round-robin over weights that are all 0 always picks the first.",
    zh: "提供者注册的权重总是 0，不管使用者怎样设置（server/action.go）；所有权重都为 0 时，平滑加权轮询永远选中第一个。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/2864"],
  scenario: scenario({
    name: "round-robin-interface-level",
    title: { en: "Round-robin over weights of 0", zh: "对权重 0 轮询" },
    explanation: {
      en: "Three dubbo-go providers at interface level, a dubbo-go consumer that balances by round-robin.",
      zh: "三个以接口级注册的 dubbo-go 提供者，一个用轮询的 dubbo-go 消费者。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { LOAD_BALANCE: "roundrobin", REGISTRATION: "interface" }),
      orders: dubboGoProvider({ instances: 3 }, { REGISTRATION: "interface" }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [share("orders").byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 1 }).detects(1.9)],
  }),
});
