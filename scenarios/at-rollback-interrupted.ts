import {
  at,
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-rollback-interrupted",
  title: {
    en: "The coordinator dies while a manager waits for its rollback",
    zh: "事务管理器等待回滚应答时，协调者宕机",
  },
  explanation: {
    en: "Four orders in ten are given up, and for a while stock answers the coordinator late, so that a rollback takes most of a second. The coordinator is killed while it has decided a dozen rollbacks and order waits for each answer. order asks again, some times, and then tells its buyer what went wrong; it doesn't hold on to the transaction. Back again, the coordinator finds those rollbacks on its disk and takes them to their end: rows get their old values, and their locks are freed. The orders that come then begin transactions of their own: none goes on in one that is over. (Upstream: apache/incubator-seata#1180, where the xid stayed with the worker that had waited, and the rollback was never taken up again.)",
    zh: "十个订单里有四个被放弃，而有一阵子 stock 给协调者的应答来得很慢，一次回滚要大半秒。协调者被杀死时，已对十来个事务作出回滚的决议，order 正逐一等待应答。order 会再问几次，然后把出错的原因告诉买家，并不抓着这个事务不放。协调者回来后，在磁盘上看到这些回滚，把它们做到底：行恢复旧值，锁被释放。随后来的订单各自开始自己的事务：没有一个接在已经结束的事务里继续。（上游问题 apache/incubator-seata#1180：xid 留在等待过的工作线程上，回滚也再没有人接着做。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "4s", retries: 0, key: { name: "user", count: 300 } }),
    ...bank({ mode: "at", timeout: "2s", items: 300, abortRate: "40%", reserve: { timeout: "2s" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("10s"),
  timeline: [
    at("2s").latency({ from: "stock", to: "coordinator" }, { add: "800ms", for: "1800ms" }),
    at("3500ms").kill("coordinator", { for: "1s" }),
  ],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().shows("retried-rollback").detects("8%"),
    nothingLeft("order").detects("8%"),
    successRate("order").atLeast("40%").detects("5%").during("6s..10s"),
  ],
  agreement: { success: "chance" },
});
