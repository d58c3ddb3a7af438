import { consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "weighted-balance",
  title: { en: "Big instances get more, in proportion", zh: "大实例按比例多拿" },
  explanation: {
    en: "Three instances have the weights 50, 100 and 150. Smooth weighted round-robin gives them a sixth, a third and a half of the calls, and in every six picks in a row exactly one, two and three of them. Dubbo calls it roundrobin.",
    zh: "三个实例的权重是 50、100、150。平滑加权轮询分给它们六分之一、三分之一和一半的调用；任意连续六次选择里恰好是一次、两次、三次。Dubbo 把它叫作 roundrobin。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "roundrobin" }),
    orders: provider({
      groups: [
        { instances: 1, weight: 50 },
        { instances: 1, weight: 100 },
        { instances: 1, weight: 150 },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  load: poisson("200/s").on("storefront").for("8s"),
  // Weights without an effect: https://github.com/apache/dubbo-go/issues/2864
  timeline: [],
  expect: [
    share("orders").byInstance({ "orders/0": 1, "orders/1": 2, "orders/2": 3 }).detects(2),
    successRate("orders").atLeast("99%").detects("95%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
