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
  name: "registry-paused",
  title: { en: "The registry stands still", zh: "注册中心停住不动" },
  explanation: {
    en: "The registry is frozen for three seconds, twice as long as a session lasts, as in a long collection of garbage. Its connections stay open and nobody is refused, so its clients notice only that nothing comes back. Nothing may happen to the calls: silence of the registry says nothing about the providers. When it goes on, it either forgives the silence that was its own fault, as the embedded one does, or ends every session at once, as ZooKeeper may; then the providers open new ones and register again.",
    zh: "注册中心冻结三秒，是会话时长的两倍，就像一次漫长的垃圾回收。连接都开着，也没有人被拒绝，客户端只会发现没有回音。调用不应受到任何影响：注册中心的沉默不说明提供者有问题。恢复之后，它要么像内置注册中心那样不计较自己造成的沉默，要么像 ZooKeeper 可能做的那样一下子结束所有会话；后一种情况下提供者会建立新会话并重新注册。",
  },
  tags: [],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("2s").pause("registry", { for: "3s" })],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.05).detects(1.25)],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
