import { at, consumer, gracefulStop, poisson, provider, scenario, taskFates } from "../harness/scenario/builders.ts";

export default scenario({
  name: "task-drained",
  title: {
    en: "A server that drains finishes what it has begun",
    zh: "正在排空的服务端把手里的活做完",
  },
  explanation: {
    en: "orders/1 is told to stop with some ten tasks at work. It says NOT_SERVING and deregisters, serves on until the news has spread, refuses what comes later, and waits for its tasks: each is answered. None is given up, none is lost, and no caller notices.",
    zh: "要求 orders/1 停止时，它手里大约有十个任务。它先报告 NOT_SERVING 并注销，在消息传开之前照常服务，之后拒绝新来的，再等手里的任务做完：每一个都得到答复。没有一个被放弃，没有一个丢失，调用方毫无察觉。",
  },
  tags: [],
  tasks: true,
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "2s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({ instances: 2, serviceTime: { uniform: { from: "100ms", to: "300ms" } } }),
  },
  load: poisson("100/s").on("storefront").for("8s"),
  timeline: [at("3s").stop("orders/1")],
  expect: [taskFates("orders").only("answered").detects("2%"), gracefulStop("orders", "orders/1").detects("7%")],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
