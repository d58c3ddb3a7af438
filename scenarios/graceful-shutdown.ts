import {
  at,
  attemptsPerCall,
  consumer,
  gracefulStop,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "graceful-shutdown",
  title: { en: "A provider leaves, and not one call fails", zh: "一个提供者从容离场，一次调用也不失败" },
  explanation: {
    en: "orders/2 is asked to stop under load. It deregisters first, waits until the news has reached the callers, finishes what it has begun, and closes last. Its callers retry nothing here, so a single call that meets a closed door would show. New calls go to the others, each of which works on one at a time.",
    zh: "负载之下要求 orders/2 停止。它先注销，等消息传到调用方，做完手里的活，最后才关门。这里的调用方不重试，所以哪怕只有一次调用吃了闭门羹也会现形。它的活由其他实例接手，每个实例一次只处理一个调用。",
  },
  tags: ["tour"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", cluster: "failfast", balancer: "p2c" }),
    orders: provider({ instances: 4, capacity: 1, serviceTime: { exponential: { mean: "8ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("3s").stop("orders/2")],
  expect: [
    // Who refuses before the news has spread fails calls: https://github.com/apache/dubbo-go/pull/1254
    gracefulStop("orders", "orders/2").detects("5%"),
    successRate("orders").atLeast("99%").detects("93%"),
    attemptsPerCall("orders").atMost(1.05).detects(1.5),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%", recovery: "20%" },
});
