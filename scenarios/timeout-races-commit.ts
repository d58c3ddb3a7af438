import {
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "timeout-races-commit",
  title: { en: "A timeout and a commit race for the same transaction", zh: "超时与提交争抢同一个事务" },
  explanation: {
    en: "An order must be done within 300 ms, and to reserve takes about as long. So at the same moment order asks for the commit and the coordinator finds the time over. One of them is first, and what it decided stands: a commit that comes too late hears that the transaction is being rolled back, and a try that is still under way then is refused. (Upstream: apache/incubator-seata#4969, #3220 and #5404, where a branch that registered after the end stayed for ever.)",
    zh: "一个订单必须在 300 毫秒内完成，而预留本身差不多就要这么久。于是 order 请求提交与协调者发现超时常常撞在同一刻。谁先谁算数，决定了就不再改变：来迟的提交会被告知事务正在回滚，那时还在进行的 try 会被拒绝。（上游问题 apache/incubator-seata#4969、#3220、#5404：结束之后才注册的分支永远留了下来。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      timeout: "300ms",
      account: { serviceTime: { exponential: { mean: "110ms" } } },
      stock: { serviceTime: { exponential: { mean: "110ms" } } },
    }),
  },
  coordinator: { retry: "50ms" },
  load: constant("30/s").on("buyer").for("6s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
  ],
});
