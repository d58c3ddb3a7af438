import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "balancing",
  promise: {
    en: "Interleaved weighted round-robin gives each provider the share that its weight says",
    zh: "交错加权轮询按权重给每个提供者应得的份额",
  },
  expected: "fails",
  finding: {
    en: "Each call makes a new queue and takes its first element: the weights have no effect.",
    zh: "每次调用都新建一个队列并取第一个元素，权重不起作用。",
  },
  issues: [],
  scenario: scenario({
    name: "interleaved-round-robin-weights",
    title: { en: "Weights 100 and 300, interleaved", zh: "权重 100 与 300，交错轮询" },
    explanation: {
      en: "Two Flyball providers of weights 100 and 300, a dubbo-go consumer that balances by interleaved weighted round-robin.",
      zh: "两个 Flyball 提供者，权重 100 和 300；dubbo-go 消费者用交错加权轮询。",
    },
    fleet: {
      storefront: dubboGoConsumer(
        { calls: "orders" },
        { LOAD_BALANCE: "interleavedweightedroundrobin", REGISTRATION: "interface" },
      ),
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
