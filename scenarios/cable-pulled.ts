import {
  at,
  attemptsPerCall,
  consumer,
  poisson,
  provider,
  recovery,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "cable-pulled",
  title: { en: "A machine falls off the network", zh: "一台机器从网络上消失" },
  explanation: {
    en: "orders/1 runs on, but nothing gets in or out: nobody is refused, nobody is told, there is only silence. So a caller learns of it by its own attempt timeout, and the registry by a session that runs out. That is why every attempt needs a timeout of its own, well below the call's: without one, a single silent instance eats the whole deadline and no retry is ever made.",
    zh: "orders/1 还在运行，但数据进不来也出不去：没有人被拒绝，没有人得到通知，只有沉默。调用方只能靠单次尝试的超时发现它，注册中心只能靠会话过期发现它。所以每次尝试都要有自己的超时，而且要明显短于整个调用的超时：否则一个沉默的实例会吃掉全部时限，重试根本没有机会。",
  },
  tags: [],
  registry: { sessionTimeout: "1500ms" },
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      attemptTimeout: "200ms",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  // Such a call took 127 s, whatever its timeout, in https://github.com/apache/dubbo-go/issues/3161.
  timeline: [at("1500ms").disconnect("orders/1")],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    attemptsPerCall("orders").atMost(1.25).detects(1.6),
    recovery("orders").after("3800ms").within("700ms").atLeast("99%").p99Below("150ms").detects("1s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
