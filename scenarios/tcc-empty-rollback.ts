import {
  at,
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  scenario,
  tccFence,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "tcc-empty-rollback",
  title: { en: "A cancel arrives whose try never did", zh: "从未 try 过，却等来了 cancel" },
  explanation: {
    en: "account registers a branch with the coordinator and then works for most of a second before its try. It is killed: some thirty branches are registered then and not tried. Their orders fail and are rolled back, and as soon as account is back the coordinator asks it to cancel what it has never done. The fence finds no row, notes that this branch is over, and gives nothing back: an account that got back money which was never taken would be richer. It is done the first time it is asked: that there is no row is no error. (Upstream: apache/incubator-seata-go#685, where it was one, and the coordinator asked for ever.)",
    zh: "account 先向协调者注册分支，再工作大半秒，然后才 try。它被杀死时，大约有三十个分支已经注册而还没有 try。这些订单失败并回滚；account 一回来，协调者就要它 cancel 从未做过的事。围栏查不到记录，便记下这个分支已经结束，什么也不归还：若把从未扣过的钱退回去，账户就凭空多了钱。第一次被要求就做完：查不到记录并不是错误。（上游问题 apache/incubator-seata-go#685：那里把它当成错误，协调者于是永远要求下去。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ timeout: "3s", reserve: { timeout: "2s" }, account: { serviceTime: "800ms" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("8s"),
  timeline: [at("2500ms").kill("account/0", { for: "1500ms" })],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").detects("8%"),
    tccFence("account").shows("empty-rollback").detects("30%"),
  ],
});
