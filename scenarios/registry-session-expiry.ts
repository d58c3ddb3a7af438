import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  scenario,
  share,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "registry-session-expiry",
  title: { en: "A session expires under a healthy provider", zh: "会话过期了，提供者却好好的" },
  explanation: {
    en: "At 2 s the registry ends the session of orders/1, as ZooKeeper does to a client whose heartbeats were held up, and takes its instance off the list. The provider serves on: whoever calls it is answered. It hears of the expiry at its next heartbeat, opens a new session and registers again under it; a client that takes an expired session for a mere disconnection would wait for ever, and its instance would be gone without a trace in any log.",
    zh: "第 2 秒注册中心终止了 orders/1 的会话，就像 ZooKeeper 对待心跳被耽搁的客户端那样，并把它的实例从列表中去掉。提供者照常服务，找到它的调用都能得到回答。它在下一次心跳时得知会话已过期，于是建立新会话，重新注册。如果客户端把会话过期误当作普通的断线，它会一直等下去，实例就此消失，任何日志里都找不到痕迹。",
  },
  tags: [],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("180/s").on("storefront").for("6s"),
  // A consumer that is deaf after it: https://github.com/apache/dubbo-go/issues/259, https://github.com/apache/dubbo-go/issues/956
  timeline: [at("2s").sessionExpiry("orders/1")],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    share("orders").byInstance("equal").detects(1.5),
    attemptsPerCall("orders").atMost(1.05).detects(1.25),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
