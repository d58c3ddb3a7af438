import { property } from "../../../harness/conformance/property.ts";
import { attemptsPerCall, constant, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: {
    en: "An error that a retry can't mend (INVALID_ARGUMENT) isn't retried",
    zh: "重试也救不了的错误（INVALID_ARGUMENT）不会重试",
  },
  expected: "fails",
  finding: {
    en: "Failover repeats whatever comes back but a plain Go error (status 17), at once and without a budget.",
    zh: "除普通 Go error（状态 17）外，failover 什么都重试，立刻重试，且没有预算。",
  },
  issues: [],
  scenario: scenario({
    name: "invalid-argument-is-final",
    title: { en: "A provider that refuses arguments", zh: "拒绝参数的提供者" },
    explanation: {
      en: "Each third call is refused INVALID_ARGUMENT by a provider that got it and judged it. The caller's cluster strategy is failover with two retries.",
      zh: "每三次调用有一次被提供者以 INVALID_ARGUMENT 拒绝：它收到了，也作了判断。调用方的集群策略是 failover，重试两次。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }, { ERROR_RATE: "0.33", ERROR_CODE: "3" }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [attemptsPerCall("orders").atMost(1.02).detects(1.4)],
  }),
});
