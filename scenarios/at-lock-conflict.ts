import {
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  isolation,
  nothingLeft,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-lock-conflict",
  title: { en: "Many orders want the same rows", zh: "许多订单争抢同几行" },
  explanation: {
    en: "Four accounts and four goods, and orders that overlap: whoever wants a row that another order has globally waits for it, 10 ms at a time and 30 times at most, with its local lock let go in between, since the other may need it to roll back. Three orders in ten are given up, so that rows come back while others wait for them. Each order first looks at its rows by SELECT … FOR UPDATE, and none of them sees what is taken back, or builds on it.",
    zh: "只有四个账户和四种商品，订单却互相重叠：想要一行而它的全局锁在别的订单手里，就等它，每次 10 毫秒，最多 30 次；其间放开本地锁，因为对方回滚时可能正需要它。十个订单里有三个被放弃，于是别人还在等的时候行恢复了旧值。每个订单先用 SELECT … FOR UPDATE 查看自己的行，没有一个会看到被撤销的数据，更不会建立在它之上。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 40 } }),
    ...bank({ mode: "at", items: 4, abortRate: "30%", looks: { locking: "100%" }, stock: { serviceTime: "40ms" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("8s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    isolation("order").detects("50%"),
  ],
});
