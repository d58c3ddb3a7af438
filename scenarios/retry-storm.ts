import { at, attemptsPerCall, consumer, poisson, provider, recovery, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "retry-storm",
  title: { en: "Three tiers, and a blip that a budget keeps a blip", zh: "三层调用：预算让一次抖动只是一次抖动" },
  explanation: {
    en: "storefront calls orders, orders calls payments, and each tries three times. When payments is too slow for its callers for a second and a half, every call of the storefront could become nine at payments: the layers multiply. With a retry budget in each caller (one retry for ten successes) the first failures spend what was saved, and then each call is one call. Payments gets hardly more requests than usual, and is well again as soon as the link is.",
    zh: "storefront 调 orders，orders 调 payments，各自最多试三次。payments 慢得让调用方等不及、持续一秒半时，storefront 的每次调用在 payments 那里可能变成九次：层层相乘。给每个调用方一份重试预算（十次成功换一次重试），最初几次失败花光积蓄，之后一次调用就只是一次。payments 收到的请求几乎没有变多，链路一恢复就恢复正常。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "400ms",
      retry: { maxAttempts: 3, initialBackoff: "10ms", retryableStatusCodes: ["UNAVAILABLE", "DEADLINE_EXCEEDED"] },
      retryBudget: { policy: "grpc", maxTokens: 10, tokenRatio: 0.1 },
    }),
    orders: provider({
      instances: 2,
      serviceTime: "2ms",
      calls: "payments",
      timeout: "300ms",
      attemptTimeout: "80ms",
      retry: { maxAttempts: 3, initialBackoff: "10ms", retryableStatusCodes: ["UNAVAILABLE", "DEADLINE_EXCEEDED"] },
      retryBudget: { policy: "grpc", maxTokens: 10, tokenRatio: 0.1 },
    }),
    payments: provider({ instances: 2, serviceTime: "2ms" }),
  },
  load: poisson("100/s").on("storefront").for("7s"),
  timeline: [at("2s").latency({ from: "orders", to: "payments" }, { add: "120ms", for: "1500ms" })],
  expect: [
    attemptsPerCall("orders").atMost(1.1).detects(1.45),
    attemptsPerCall("payments").atMost(1.1).detects(1.45),
    recovery("orders").after("3500ms").within("1s").atLeast("98%").p99Below("200ms").detects("1s"),
  ],
  agreement: { share: "chance", success: "chance", recovery: "20%" },
});
