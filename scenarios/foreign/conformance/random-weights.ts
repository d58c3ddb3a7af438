import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "balancing",
  promise: {
    en: "Random balancing gives each provider the share that its weight says",
    zh: "随机均衡按权重给每个提供者应得的份额",
  },
  expected: "holds",
  scenario: scenario({
    name: "random-weights",
    title: { en: "Weights 100 and 300, at random", zh: "权重 100 与 300，随机" },
    explanation: {
      en: "Two Flyball providers of weights 100 and 300, a dubbo-go consumer that balances at random.",
      zh: "两个 Flyball 提供者，权重 100 和 300；dubbo-go 消费者随机均衡。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { LOAD_BALANCE: "random", REGISTRATION: "interface" }),
      orders: provider({
        groups: [
          { instances: 1, weight: 100 },
          { instances: 1, weight: 300 },
        ],
      }),
    },
    load: constant("150/s").on("storefront").for("4s"),
    expect: [share("orders").byInstance({ "orders/0": 1, "orders/1": 3 }).detects(1.8)],
  }),
});
