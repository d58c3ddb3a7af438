import { property } from "../../../harness/conformance/property.ts";
import { at, constant, recovery, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "A provider whose connections are refused is taken out before the registry says so",
    zh: "连接被拒的提供者，不等注册中心发话就会被摘除",
  },
  expected: "fails",
  finding: {
    en: "Nothing but the registry takes an instance out: about half of the calls fail for a whole session timeout.",
    zh: "除了注册中心，没有别的机制摘除实例：整个会话超时期间大约一半调用失败。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/1946"],
  scenario: scenario({
    name: "a-killed-provider-is-avoided",
    title: { en: "SIGKILL, and a session of 4 s", zh: "SIGKILL，会话 4 秒" },
    explanation: {
      en: "orders/1 is killed; its registration outlives it by its session's timeout. The consumer doesn't retry, and could see that nobody listens.",
      zh: "杀死 orders/1，它的注册信息要到会话超时才消失。消费者不重试，但它看得到那里没人监听。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders", retries: 0 }, { CLUSTER: "failfast" }),
      orders: dubboGoProvider({ instances: 2 }, { SESSION_TIMEOUT: "4s" }),
    },
    load: constant("100/s").on("storefront").for("8s"),
    timeline: [at("1s").kill("orders/1")],
    expect: [recovery("orders").after("1s").within("1500ms").atLeast("90%").detects("2s")],
  }),
});
