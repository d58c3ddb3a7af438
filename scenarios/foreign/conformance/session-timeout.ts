import { property } from "../../../harness/conformance/property.ts";
import { at, constant, consumer, noDeadCalls, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "registration",
  promise: { en: "The timeout that a registry is given is its session's", zh: "给注册中心设置的超时，就是会话的超时" },
  expected: "fails",
  finding: {
    en: "The ZooKeeper client looks for the timeout of the config centre, config-center.timeout, and takes 5 s where it finds none (remoting/zookeeper/client.go).",
    zh: "ZooKeeper 客户端查找的是配置中心的超时 config-center.timeout，找不到就用 5 秒（remoting/zookeeper/client.go）。",
  },
  issues: [],
  scenario: scenario({
    name: "session-timeout",
    title: { en: "A session of 1.5 s", zh: "1.5 秒的会话" },
    explanation: {
      en: "orders/1 is killed. Its registration has to be gone when its session is, after 1.5 s.",
      zh: "杀死 orders/1。1.5 秒后会话过期，它的注册信息也该消失。",
    },
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }, { SESSION_TIMEOUT: "1500ms", SESSION_TIMEOUT_BY: "option" }),
    },
    load: constant("100/s").on("storefront").for("6s"),
    timeline: [at("500ms").kill("orders/1")],
    expect: [noDeadCalls("orders").within("3s").detects("1s")],
  }),
});
