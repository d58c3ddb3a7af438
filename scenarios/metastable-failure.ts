import { at, consumer, poisson, provider, recovery, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "metastable-failure",
  title: { en: "A stall that would never end without a retry budget", zh: "没有重试预算就永远好不了的停顿" },
  explanation: {
    en: "orders does 266 calls a second at most, and works on for callers that have given up. The load is 90 a second. After a stall of one second the queue is longer than the callers' patience: every answer comes too late and every call is tried four times, so that 360 a second arrive where 266 can be served, and the queue never empties although the cause is long gone (a metastable failure: it lasts where capacity / (1 + retries) ≤ load < capacity). gRPC's retry throttling stops the retries after a few failures; the load alone fits, the queue drains, and all is well within a second or two.",
    zh: "orders 每秒最多处理 266 次调用，而且会替已经放弃的调用方继续干活。负载是每秒 90 次。停顿一秒之后，队列比调用方的耐心还长：每个答复都来得太迟，每次调用都试四次，于是每秒到达 360 次，而只能处理 266 次；起因早已消失，队列却永远排不空（亚稳态故障：当 容量 / (1 + 重试次数) ≤ 负载 < 容量 时会一直持续）。gRPC 的重试限流在几次失败之后就停掉重试，剩下的负载处理得过来，队列排空，一两秒内恢复正常。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "600ms",
      attemptTimeout: "150ms",
      retries: 3,
      retryBudget: { policy: "grpc", maxTokens: 10, tokenRatio: 0.1 },
    }),
    orders: provider({
      instances: 1,
      serviceTime: "30ms",
      capacity: 8,
      queueMax: 10_000,
      servesAbandoned: true,
    }),
  },
  load: poisson("90/s").on("storefront").for("8s"),
  timeline: [at("2s").pause("orders/0", { for: "1s" })],
  expect: [recovery("orders").after("3s").within("2500ms").atLeast("98%").detects("1s")],
  agreement: { share: "chance", success: "chance", recovery: "20%" },
});
