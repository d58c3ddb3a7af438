import {
  bank,
  conservation,
  constant,
  consumer,
  isolation,
  nothingLeft,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-lost-update",
  title: {
    en: "Who reads, counts and writes back loses what others wrote meanwhile",
    zh: "先读、再算、再写回：其间别人写的就丢了",
  },
  explanation: {
    en: "account reads what is there, works for a while, and writes back what it has counted, as programs do that load an object, change it and save it. Half of the branches read plainly, before the local transaction that writes. No lock stops them: when they write, whoever paid meanwhile is done, and the row gets a number that knows nothing of that payment. Its money is back in the account, and the piece is gone: a lost update, and no rollback and no error anywhere. The other half read by SELECT … FOR UPDATE in the local transaction that writes, and keep the lock until it is written: they go on from what is there, and lose nothing. A branch whose row another order has waits, and does its writing anew; it keeps nothing of its earlier tries. (Upstream: apache/incubator-seata#984 and #1715, where increments got lost that were read without the lock; #1098, where each try left its undo logs with the next one.)",
    zh: "account 先读出现有的数，干一会儿活，再写回算好的结果，就像许多程序那样：载入对象、修改、保存。一半的分支用普通读，在写入的本地事务之前就读了。没有锁拦得住它们：等到写的时候，其间付款的人早已做完，而写进行里的数对那笔付款一无所知。钱回到了账户里，货却已经取走：这就是丢失更新，没有回滚，也没有任何报错。另一半在写入的那个本地事务里用 SELECT … FOR UPDATE 读，并持锁到写完：它们接着现有的数往下算，什么也不会丢。行在别的订单手里时，分支就等，再把写重做一遍，先前的尝试什么也不留。（上游问题 apache/incubator-seata#984、#1715：不加锁读出的累加会丢失；#1098：每次尝试都把自己的 undo log 留给了下一次。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 40 } }),
    ...bank({
      ...{ mode: "at", items: 6, abortRate: "30%" },
      account: { counts: { locking: "50%" }, serviceTime: "100ms" },
      stock: { serviceTime: "40ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("8s"),
  expect: [
    conservation("order").detects("8%"),
    nothingLeft("order").detects("8%"),
    isolation("order").shows("lost-update").detects("50%"),
  ],
});
