import {
  at,
  attemptsPerCall,
  consumer,
  latency,
  poisson,
  provider,
  recovery,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "latency-injection",
  title: { en: "One slow link, and callers that go around it", zh: "一条链路变慢，调用方绕着走" },
  explanation: {
    en: "Every round trip to orders/1 takes 200 ms longer for three seconds. Power of two choices compares the calls in flight of two random instances: a slow instance keeps its calls longer, so it loses the comparison and gets few new ones. Random balancing would still send it every third call.",
    zh: "三秒之内，到 orders/1 的每次往返都慢 200 毫秒。P2C（随机取二，选较闲者）随机取两个实例，比较正在处理的调用数：慢的实例手里的调用更多，比较时总是输，新调用就少了。若用随机均衡，它仍会分到三分之一的调用。",
  },
  tags: ["tour"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "p2c" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("2s").latency({ from: "storefront", to: "orders/1" }, { add: "200ms", for: "3s" })],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    latency("orders").percentile(90, "100ms").detects("32%").during("2s..5s"),
    attemptsPerCall("orders").atMost(1.05).detects(1.25),
    recovery("orders").after("5s").within("500ms").atLeast("99%").p99Below("150ms").detects("1s"),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%", recovery: "20%" },
});
