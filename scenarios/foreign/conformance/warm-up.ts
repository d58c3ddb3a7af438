import { property } from "../../../harness/conformance/property.ts";
import { formatShare, shareOf, within } from "../../../harness/conformance/measures.ts";
import { at, constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "balancing",
  promise: { en: "A provider that has just started gets few calls at first", zh: "刚启动的提供者起初只分到很少的调用" },
  expected: "fails",
  finding: {
    en: "URL.MergeURL keeps the start time only of providers that have none (an inverted test): the uptime is never known.",
    zh: "URL.MergeURL 只给没有启动时间的提供者保留启动时间（判断写反了），运行时长因此无从得知。",
  },
  issues: [],
  scenario: scenario({
    name: "warm-up",
    title: { en: "Dead, and back after 3 s", zh: "宕机，3 秒后回来" },
    explanation: {
      en: "orders/1 dies, and comes back when its session has expired; its warm-up is 60 s, so that in the first seconds it should get a few per cent of the calls.",
      zh: "orders/1 宕机，会话过期后才回来；预热时间 60 秒，头几秒它应当只得到百分之几的调用。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }),
      orders: dubboGoProvider({ instances: 2 }, { WARM_UP: "60s", SESSION_TIMEOUT: "1s" }),
    },
    load: constant("100/s").on("storefront").for("9s"),
    timeline: [at("500ms").kill("orders/1", { for: "3s" })],
    expect: [successRate("orders").atLeast("80%").detects("50%")],
  }),
  measure: (history) =>
    within(
      shareOf(history, "orders", "orders/1", { during: "6s..9s" }),
      (fresh) => fresh < 0.3,
      (fresh) => ({
        en: `${formatShare(fresh)} of the calls went to the fresh one of two (wanted: below 30%)`,
        zh: `两个里刚启动的那个得到 ${formatShare(fresh)} 的调用（应低于 30%）`,
      }),
    ),
});
