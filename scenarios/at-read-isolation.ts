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
  name: "at-read-isolation",
  title: {
    en: "AT shows what isn't decided yet, unless one reads FOR UPDATE",
    zh: "AT 会让人读到尚未定局的数据，除非用 FOR UPDATE 读",
  },
  explanation: {
    en: "An order in AT commits its rows at once, long before it is decided. Each order first looks at its account and its good. Three in ten read plainly: they see what others have just written, and half of that is taken back afterwards. That is a dirty read (G1a), and it is what AT permits by default. The others read by SELECT … FOR UPDATE: where another order has the row globally they wait and read anew, and not one of them ever sees what is taken back. It costs a round trip to the coordinator, and the wait. (Upstream: apache/incubator-seata#1196, where the rows that came back were those of before the wait.)",
    zh: "AT 模式的订单会立即提交自己的行，远早于全局事务有结论。每个订单先查看账户和商品。其中三成用普通读：它们看到别人刚写下的值，而这些值有一半随后被撤销。这就是脏读（G1a），AT 默认允许它。其余的用 SELECT … FOR UPDATE 读：若该行的全局锁在别的订单手里，就等待并重新读取，没有一个会看到被撤销的数据。代价是到协调者的一次往返，以及这段等待。（上游问题 apache/incubator-seata#1196：返回的还是等待之前读到的行。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      mode: "at",
      items: 6,
      abortRate: "50%",
      looks: { locking: "70%" },
      stock: { serviceTime: "40ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("7s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    isolation("order").shows("dirty-read").detects("40%"),
  ],
  // No agreement: the slowest hundredth are the three that waited longest for a row, and each draw has its own.
});
