import { property } from "../../../harness/conformance/property.ts";
import { attemptsPerCall, constant, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: { en: "A plain error of the provider's code isn't retried", zh: "提供者代码返回的普通 error 不会重试" },
  expected: "holds",
  scenario: scenario({
    name: "business-error-is-final",
    title: { en: "A provider that returns errors", zh: "返回 error 的提供者" },
    explanation: {
      en: "Each third call ends with a plain Go error, which dubbo-go sends as status 17.",
      zh: "每三次调用有一次以普通 Go error 结束，dubbo-go 以状态 17 送出。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }, { ERROR_RATE: "0.33", ERROR_CODE: "17" }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [attemptsPerCall("orders").atMost(1.02).detects(1.4)],
  }),
});
