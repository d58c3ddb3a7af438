import {
  at,
  attemptsPerCall,
  consumer,
  noDeadCalls,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "slow-to-notice",
  title: { en: "Nacos takes a while to miss somebody", zh: "Nacos 要过一阵才发现少了谁" },
  explanation: {
    en: "As node-loss, over Nacos with its usual times: beats every 5 s, unhealthy after 15 s without one, looked for every 5 s. So the dead instance stays in everybody's list for 15 to 20 s, and for that long every eighth call pays for a second attempt. Failover hides it; without retries every eighth call would fail. What shortens it is not the registry but the caller: retries, connection health, outlier ejection.",
    zh: "和 node-loss 一样，只是换成默认时间参数的 Nacos：每 5 秒一次心跳，15 秒没有心跳算不健康，每 5 秒检查一次。所以死掉的实例会在所有人的列表里多留 15 到 20 秒，这段时间里每八次调用就有一次要多试一次。failover 把它掩盖了；没有重试的话，每八次调用就有一次失败。能缩短这段时间的不是注册中心，而是调用方：重试、连接健康、离群摘除。",
  },
  tags: [],
  registry: { like: "nacos" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 8, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("90/s").on("storefront").for("28s"),
  timeline: [at("2s").kill("orders/1")],
  expect: [
    successRate("orders").atLeast("99%").detects("95%"),
    noDeadCalls("orders").within("22s").detects("1s"),
    attemptsPerCall("orders").atMost(1.2).detects(1.5),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
