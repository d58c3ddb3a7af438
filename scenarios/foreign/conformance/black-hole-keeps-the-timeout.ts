import { property } from "../../../harness/conformance/property.ts";
import { longestCallMs, within } from "../../../harness/conformance/measures.ts";
import { at, attemptsPerCall, constant, scenario } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "clusters",
  promise: {
    en: "A call to an address that doesn't answer at all is over when its timeout is",
    zh: "对毫无回应的地址的调用，到超时时间就结束",
  },
  expected: "fails",
  finding: {
    en: "A call that finds a connection being made waits for that attempt, and for those that follow it, without a look at its own deadline (golang.org/x/net/http2, client_conn_pool.go). The two minutes of 3.3.1 are gone; several timeouts remain.",
    zh: "调用若遇到连接正在建立，就等那次尝试以及接着的尝试，不看自己的截止时间（golang.org/x/net/http2 的 client_conn_pool.go）。3.3.1 的两分钟没有了，剩下的是好几个超时时间。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3161"],
  scenario: scenario({
    name: "black-hole-keeps-the-timeout",
    title: { en: "Off the network, and still registered", zh: "断了网，却还在册" },
    explanation: {
      en: "Both providers go off the network, and their registration lasts: nobody answers, and nobody refuses. After half a minute the connections are given up, and new ones can't be made. The timeout is 500 ms, without a retry; neither waiting nor connecting may take longer.",
      zh: "两个提供者都断了网，注册却还在：既没有谁回应，也没有谁拒绝。半分钟后旧连接被放弃，新连接又建不成。超时 500 毫秒，不重试；等待和建立连接都不能花更久。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders", timeout: "500ms", retries: 0 }),
      orders: dubboGoProvider({ instances: 2 }, { SESSION_TIMEOUT: "40s" }),
    },
    load: constant("20/s").on("storefront").for("38s"),
    timeline: [at("500ms").disconnect("orders/0", { for: "37s" }), at("500ms").disconnect("orders/1", { for: "37s" })],
    expect: [attemptsPerCall("orders").atMost(1.02).detects(1.5)],
  }),
  measure: (history) =>
    within(
      longestCallMs(history, "orders", { during: "1s..37s" }),
      (longest) => longest < 900,
      (longest) => ({
        en: `the longest call took ${Math.round(longest)} ms (wanted: 500 ms and a little)`,
        zh: `最长的调用用了 ${Math.round(longest)} 毫秒（应为 500 毫秒左右）`,
      }),
    ),
});
