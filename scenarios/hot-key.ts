import { consumer, latency, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "hot-key",
  title: { en: "One key is hot, and its instance doesn't melt", zh: "一个键很热，它的实例却没有被压垮" },
  explanation: {
    en: "Every call has the same key, and consistent hashing would send them all to one of four instances: more than it can do, so its queue would grow without end. With bounded load an instance takes at most 1.25 times the mean of the calls in flight; what is over goes to the next one on the ring.",
    zh: "所有调用的键都相同，一致性哈希会把它们全部发往四个实例中的一个：超出它的处理能力，队列会一直变长。有界负载规定一个实例手里的调用最多是平均值的 1.25 倍，多出来的交给环上的下一个实例。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "5s",
      balancer: "consistent-hash-bounded",
      hash: { arguments: "0.key", loadFactor: 1.25 },
      key: { name: "user-id", count: 1 },
    }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "20ms" } }, capacity: 2 }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    latency("orders").percentile(90, "200ms").detects("25%"),
  ],
  // No agreement: the ring is made of addresses, as Dubbo's is, and each world has its own.
});
