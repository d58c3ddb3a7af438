import { at, consumer, gracefulStop, poisson, provider, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "health-check",
  title: {
    en: "The registry says nothing, and the instance says itself that it leaves",
    zh: "注册中心没有出声，实例自己说它要走了",
  },
  explanation: {
    en: "From the first second on storefront isn't told of any change of orders. Then orders/1 is stopped in order: it deregisters, which storefront never hears. It has another ear: it watches grpc.health.v1 on the connection to each instance. The first thing that an instance does when it is told to stop is to say NOT_SERVING there, so that it is out of the choice before it refuses anybody, and it stays out when its watch breaks. Without health checks every fourth call would go on meeting a closed door. backoffice, which is told of changes, shows that there was something to hear.",
    zh: "从第一秒起，orders 的任何变化都不再通知 storefront。随后 orders/1 被正常停止：它去注销，而 storefront 永远听不到。storefront 另有一只耳朵：它在通往每个实例的连接上监听 grpc.health.v1。实例收到停止指令后做的第一件事，就是在那里说 NOT_SERVING，于是它在拒绝任何人之前就已被排除在选择之外；监听断开之后也仍然被排除。没有健康检查，每四次调用就会有一次一直撞上关着的门。照常收到通知的 backoffice 说明确有消息可听。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
      healthCheck: {},
    }),
    backoffice: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: [poisson("150/s").on("storefront").for("5s"), poisson("10/s").on("backoffice").for("5s")],
  timeline: [at("1s").missedWatch("storefront", { service: "orders" }), at("1500ms").stop("orders/1")],
  expect: [gracefulStop("orders", "orders/1").detects("5%")],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
