import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "gray-failure",
  title: { en: "A provider freezes: not dead, and of no use", zh: "提供者冻住了：没死，却毫无用处" },
  explanation: {
    en: "orders/1 is frozen for three seconds, as by a long collection of garbage. Its connections stay open and its port accepts, so nothing says that it is ill: every call to it waits until its own attempt times out, and only then goes to another instance. Its heartbeats stand still as well, so its session runs out and it leaves the list; when it wakes up it registers again and gets its share. Without attempt timeouts every fourth call would wait out its whole deadline.",
    zh: "orders/1 冻结三秒，就像一次漫长的垃圾回收。它的连接都开着，端口照样接受连接，没有任何迹象表明它有问题：发给它的每次调用都要等到单次尝试超时，然后才换一个实例。它的心跳也停了，于是会话过期，它离开列表；醒来之后它重新注册，再分到自己的流量。如果没有单次尝试的超时，每四次调用就有一次要耗尽整个时限。",
  },
  tags: [],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      attemptTimeout: "200ms",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("180/s").on("storefront").for("6s"),
  timeline: [at("1500ms").pause("orders/1", { for: "3s" })],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.25).detects(1.6)],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
