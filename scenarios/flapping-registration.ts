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
  name: "flapping-registration",
  title: { en: "An instance comes and goes, and nobody stumbles", zh: "一个实例反复上下线，没有人被绊倒" },
  explanation: {
    en: "For three seconds orders/1 deregisters and registers again twice a second, as behind a health check that can't make up its mind. It serves all the while. Each change reaches every caller, so each caller rebuilds its list several times a second; no call may fail of it, none may be made twice, and the others' statistics stay as they are. Over Nacos, which gathers changes for half a second, callers wouldn't notice half of it.",
    zh: "有三秒钟，orders/1 每秒两次注销又重新注册，就像健康检查拿不定主意时那样。它自始至终都在服务。每次变化都会通知到所有调用方，于是调用方每秒要重建好几次列表；不应有调用因此失败或多发一次，其他实例的统计也不受影响。换成 Nacos，变化会攒半秒再推送，其中一半调用方根本察觉不到。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("180/s").on("storefront").for("6s"),
  timeline: [at("1500ms").flappingRegistration("orders/1", { every: "500ms", for: "3s" })],
  expect: [successRate("orders").atLeast("99%").detects("93%"), attemptsPerCall("orders").atMost(1.05).detects(1.25)],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
