import { at, consumer, latency, poisson, provider, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "slow-node",
  title: { en: "One instance is slow, and gets less to do", zh: "一个实例变慢了，分到的活也就少了" },
  explanation: {
    en: "From 1 s on every call takes orders/1 twenty times as long, as on a machine with a noisy neighbour. Nothing fails, so no retry, no breaker and no ejection helps; what helps is a balancer that looks at how busy an instance is. Least-active sends the next call to whoever has the fewest under way: the slow one keeps one or two calls, and the rest goes past it. Round-robin would give it every fourth call, and a quarter of the users would wait.",
    zh: "从第 1 秒起，orders/1 处理每次调用的时间都变成二十倍，就像机器上来了个吵闹的邻居。没有任何调用失败，所以重试、熔断、摘除都帮不上忙；管用的是会看实例忙闲的均衡策略。最少活跃（least-active）把下一次调用交给手头调用最少的实例：慢实例手里总留着一两个调用，其余的都绕开了它。换成轮询，每四次调用就有一次落到它头上，四分之一的用户都得等。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "least-active" }),
    orders: provider({ instances: 4, serviceTime: { constant: "10ms" } }),
  },
  load: poisson("180/s").on("storefront").for("6s"),
  timeline: [at("1s").slow("orders/1", { factor: 20 })],
  expect: [latency("orders").p95("100ms").detects("15%")],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
