import { property } from "../../../harness/conformance/property.ts";
import { callsAndFailures } from "../../../harness/conformance/measures.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "life",
  promise: {
    en: "Stopping a provider with SIGTERM costs less than one call in a hundred",
    zh: "用 SIGTERM 停止一个提供者，损失不到百分之一的调用",
  },
  expected: "holds",
  scenario: scenario({
    name: "graceful-stop",
    title: { en: "SIGTERM under load", zh: "负载下 SIGTERM" },
    explanation: {
      en: "orders/1 is stopped in order; the consumer doesn't retry. Now and then a call meets an invoker that is just being destroyed.",
      zh: "有序停止 orders/1；消费者不重试。偶尔会有一次调用碰上正被销毁的 invoker。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders", retries: 0 }, { CLUSTER: "failfast" }),
      orders: dubboGoProvider({ instances: 2 }),
    },
    load: constant("110/s").on("storefront").for("7s"),
    timeline: [at("1s").stop("orders/1")],
    expect: [successRate("orders").atLeast("99%").detects("93%")],
  }),
  measure: (history) => {
    const { calls, failed, first } = callsAndFailures(history, "orders", { during: "1s..6s" });
    return {
      outcome: failed < calls / 100 ? "holds" : "fails",
      evidence: {
        en: `${failed} of ${calls} calls failed${first === undefined ? "" : `: ${first}`}`,
        zh: `${calls} 次调用失败 ${failed} 次${first === undefined ? "" : `：${first}`}`,
      },
    };
  },
});
