import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: {
    en: "A forked call succeeds when one of its attempts does",
    zh: "并行分叉的调用，只要有一个尝试成功就算成功",
  },
  expected: "fails",
  finding: {
    en: "The first result wins, an error too: the attempt that would have succeeded isn't waited for (cluster/cluster/forking).",
    zh: "先到的结果算数，哪怕它是错误：本会成功的那次尝试不再等待（cluster/cluster/forking）。",
  },
  issues: [],
  scenario: scenario({
    name: "forking-waits-for-a-success",
    title: { en: "One often fails at once, the other takes 20 ms", zh: "一个常常立刻失败，另一个要 20 毫秒" },
    explanation: {
      en: "Each call goes to both providers at once. One fails seven calls of ten, with UNAVAILABLE and immediately; the other does the work in about 20 ms.",
      zh: "每次调用同时发给两个提供者：一个十次有七次立刻以 UNAVAILABLE 失败，另一个约 20 毫秒做完。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders", retries: 0 }, { CLUSTER: "forking" }),
      orders: provider({
        groups: [
          { instances: 1, foreign: dubboGo({ ERROR_RATE: "0.7" }) },
          { instances: 1, foreign: dubboGo({ SERVICE_TIME: "20ms" }) },
        ],
      }),
    },
    load: constant("100/s").on("storefront").for("3s"),
    expect: [successRate("orders").atLeast("99%").detects("80%")],
  }),
});
