import { at, consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "primary-lost",
  title: { en: "The primary does all the work, until it dies", zh: "主实例干所有的活，直到它宕机" },
  explanation: {
    en: "The report calls by available: no balancing, each call goes to the first instance that can be reached. So ledger/0 has all the calls, and the stand-bys have none. When it dies one call meets it in vain, and the next goes to ledger/1; once a second another one looks whether the primary is back, until the registry has taken it off the list. Then all the work is ledger/1's, and nobody has been told to take over.",
    zh: "报表用 available 调用：不做均衡，每次都发给第一个连得上的实例。所以调用全归 ledger/0，备用实例一次也没有。它宕机时有一次调用扑空，下一次就去 ledger/1；此后每秒有一次去看看主实例回来没有，直到注册中心把它从列表里去掉。于是所有的活都归 ledger/1，没有谁通知过它接手。",
  },
  tags: [],
  registry: { sessionTimeout: "600ms", tick: "100ms" },
  fleet: {
    report: consumer({ instances: 1, calls: "ledger", timeout: "500ms", cluster: "available" }),
    ledger: provider({ instances: 3, serviceTime: "3ms" }),
  },
  load: poisson("100/s").on("report").for("4s"),
  timeline: [at("1500ms").kill("ledger/0")],
  expect: [
    share("ledger").byInstance({ "ledger/0": 1 }).detects(1.6).during("0s..1400ms"),
    share("ledger").byInstance({ "ledger/1": 1 }).detects(1.6).during("2600ms..4s"),
    successRate("ledger").atLeast("96%").detects("80%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
