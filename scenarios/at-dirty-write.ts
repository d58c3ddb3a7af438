import { bank, conservation, constant, consumer, isolation, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-dirty-write",
  title: {
    en: "A writer that asks for no global lock makes a rollback impossible",
    zh: "不问全局锁的写入者，会让回滚无法进行",
  },
  explanation: {
    en: "A job at the account takes note of rows that were changed lately, by writing into them; it is no part of any order. Half of the time it asks for the row's global lock first: it waits while an order has it, and nothing goes wrong. Half of the time it writes straight to the database. Where the order is given up afterwards its rollback finds a row that it hasn't left so: a dirty write. It overwrites nothing, tells that a person is needed (RollbackFailed), and keeps the row locked. So orders stay half done, and other orders of these accounts fail: one program that doesn't ask is enough. Rows are validated under their own locks: who writes at the moment of a rollback comes before it or after it, and is never overwritten. (Upstream: apache/incubator-seata#2848, where the rollback overwrote it; #5586 and #7068, where it was tried for ever; #2918, where it validated without the lock.)",
    zh: "account 上有一个作业，专门在最近改动过的行上做记录，也就是往行里写；它不属于任何订单。一半的时候它先问全局锁：订单持有这一行时它就等，什么也不会出错。另一半的时候它直接写数据库。若该订单随后被放弃，回滚便会发现这一行已不是它留下的样子：这就是脏写。回滚不会覆盖任何东西，而是报告需要人工处理（RollbackFailed），并继续锁住这一行。于是订单停在一半，这些账户的其他订单也会失败：只要有一个程序不问锁，就足以造成这一切。回滚在行锁之下校验：恰在回滚那一刻写入的，要么在它之前，要么在它之后，绝不会被盖掉。（上游问题 apache/incubator-seata#2848：回滚盖掉了它；#5586、#7068：回滚被永远重试；#2918：校验时没有加锁。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 500 } }),
    ...bank({
      mode: "at",
      items: 500,
      abortRate: "60%",
      account: { clerk: { every: "10ms", locking: "50%", among: 4 } },
      stock: { serviceTime: "50ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("8s"),
  expect: [conservation("order").detects("8%"), isolation("order").shows("dirty-write").detects("40%")],
  agreement: { success: "chance" },
});
