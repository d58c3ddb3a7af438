import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  scenario,
  successRate,
  taskFates,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "task-lost",
  title: {
    en: "A server dies, and its tasks with it: whether their work was done, nobody can tell",
    zh: "服务端死了，任务随它而去：活干没干完，没人说得清",
  },
  explanation: {
    en: "orders/1 is killed with some ten tasks at work. Those tasks have a beginning and no end: lost. Their callers see the connection break and try again elsewhere, so no call fails, and each of those calls is done once or twice: only an operation that may be done twice can be tried again. The tasks of the others are answered, all of them.",
    zh: "orders/1 被杀时，手里大约有十个任务。这些任务有始无终：丢失。它们的调用方看到连接断开，换一个实例再试，所以没有调用失败；但这些调用的活干了一遍还是两遍，没人知道，因此只有做两遍也无妨的操作才可以重试。其他实例的任务全部得到答复。",
  },
  tags: [],
  tasks: true,
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "2s",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({ instances: 2, serviceTime: { uniform: { from: "100ms", to: "300ms" } } }),
  },
  load: poisson("100/s").on("storefront").for("8s"),
  timeline: [at("3s").kill("orders/1")],
  expect: [
    taskFates("orders").only("answered", "lost").detects("2%"),
    successRate("orders").atLeast("99%").detects("92%"),
    attemptsPerCall("orders").atMost(1.25).detects(1.7),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
