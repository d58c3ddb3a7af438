import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "empty-push",
  title: { en: "The registry says that nobody is left", zh: "注册中心说一个实例都不剩了" },
  explanation: {
    en: "At 2 s the registry pushes an empty list of orders to storefront, without a word why, while all of them are well: a classic of registries under repair. A caller that believes it has nobody to call, and a healthy fleet is down. Push-empty protection keeps the instances until each has said goodbye, or until a second read and the calls themselves agree that they are gone. Dubbo's own default is to believe (enable-empty-protection: false).",
    zh: "第 2 秒注册中心给 storefront 推送了一份 orders 的空列表，没有任何解释，而所有实例其实都健康：注册中心维护时的经典事故。调用方若信以为真，就没有可调用的实例，健康的集群也就瘫痪了。空推送保护会保留原有实例，直到每个实例都正式注销，或者再次查询的结果和实际调用都证实它们已经离开。Dubbo 的默认行为是照单全收（enable-empty-protection: false）。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("180/s").on("storefront").for("6s"),
  // Subscribing anew wiped the list in https://github.com/apache/dubbo/issues/7125.
  timeline: [at("2s").emptyPush("storefront", { service: "orders", for: "2s" })],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.05).detects(1.25)],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
