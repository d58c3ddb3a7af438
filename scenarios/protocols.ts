import { at, consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "protocols",
  title: { en: "One service, four protocols, the same governance", zh: "一个服务，四种协议，同一套治理" },
  explanation: {
    en: "The instances of one service speak Triple, framed TCP, JSON-RPC and plain HTTP, and say so in the registry. The caller takes the transport that each instance asks for; balancing, retries and deadlines are above it and don't change. Nothing gets through to the JSON-RPC instance for a while, the one on framed TCP becomes slow to reach, the one on HTTP dies: what a fault does to a call is the same whatever carries it.",
    zh: "同一个服务的各个实例分别使用 Triple、按长度分帧的 TCP、JSON-RPC 和普通 HTTP，并在注册中心里写明。调用方按实例的协议选择传输；负载均衡、重试和截止时间都在传输之上，不受影响。随后一段时间里 JSON-RPC 实例的链路吞掉一切，分帧 TCP 实例的链路变慢，HTTP 实例被杀死：无论由哪种协议承载，故障对一次调用的影响都一样。",
  },
  fleet: {
    storefront: consumer({
      instances: 2,
      calls: "orders",
      timeout: "1s",
      balancer: "smooth-weighted-round-robin",
      attemptTimeout: "200ms",
      retries: 2,
    }),
    orders: provider({
      groups: [
        { instances: 1, protocol: "triple" },
        { instances: 1, protocol: "framed" },
        { instances: 1, protocol: "jsonrpc" },
        { instances: 1, protocol: "http" },
      ],
      serviceTime: { exponential: { mean: "4ms" } },
    }),
  },
  registry: { sessionTimeout: "1500ms" },
  load: poisson("190/s").on("storefront").for("8s"),
  timeline: [
    at("1s").blackhole({ to: "orders/2" }, { for: "800ms" }),
    at("2s").latency({ to: "orders/1" }, { add: "30ms", for: "1500ms" }),
    at("5s").kill("orders/3", { for: "2s" }),
  ],
  expect: [
    share("orders")
      .byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 1, "orders/3": 1 })
      .detects(1.8)
      .during("0s..5s"),
    successRate("orders").atLeast("99%").detects("95%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
