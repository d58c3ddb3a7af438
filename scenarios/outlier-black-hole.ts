import { consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "outlier-black-hole",
  title: {
    en: "The instance that fails fastest looks idle, and gets everything: until it is ejected",
    zh: "失败最快的实例看上去最闲，于是流量全归它：直到被摘除",
  },
  explanation: {
    en: "orders/3 fails every call at once. Least-active balancing sees an instance with nothing to do and sends it nearly all calls: a black hole, far worse than the quarter that round-robin would lose. Five failures in a row eject it; when it comes back it costs five calls more, and is ejected for twice as long. Take outlier out of the scenario and watch the success rate.",
    zh: "orders/3 对每次调用都立刻报错。最少活跃（least-active）均衡眼里它总是空闲，几乎把所有调用都送给它：这就是黑洞，比轮询损失四分之一糟糕得多。连续失败五次，它就被摘除；回来时再赔上五次调用，然后被摘除更久，一次比一次长。把 outlier 从场景里去掉，再看看成功率。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      cluster: "failfast",
      balancer: "least-active",
      outlier: { consecutiveErrors: 5, maxEjectionPercent: 50, interval: "500ms", baseEjection: "2s" },
    }),
    orders: provider({
      groups: [
        { instances: 3, serviceTime: { exponential: { mean: "10ms" } } },
        { instances: 1, errorRate: 1 },
      ],
    }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [],
  expect: [successRate("orders").atLeast("97%").detects("89%")],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
