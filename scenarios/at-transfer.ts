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
  name: "at-transfer",
  title: {
    en: "Orders by AT: committed at once, undone where they are given up",
    zh: "AT 模式的订单：立即提交，放弃时撤销",
  },
  explanation: {
    en: "Account and stock know nothing of reservations: each changes its row and commits. Beside the row stands what it was before and after (the undo log), and the coordinator holds a global lock on it until the order has ended. Three orders in ten are given up when everything is done: their rows get their old values back, and nothing of what others have written meanwhile is overwritten, because the global lock kept them off. What is committed costs nothing more: the undo logs are removed later, many at once.",
    zh: "account 和 stock 不需要“预留”这回事：各自改自己的那一行，然后提交。行的旁边记着它改动前后的样子（undo log），协调者在订单结束之前一直持有这一行的全局锁。十个订单里有三个在全部做完之后被放弃：相应的行恢复旧值，而且不会盖掉别人在此期间写的东西，因为全局锁把别人挡在了外面。提交则几乎没有额外开销：undo log 事后成批删除。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      mode: "at",
      abortRate: "30%",
      account: { serviceTime: { exponential: { mean: "10ms" } } },
      stock: { serviceTime: { exponential: { mean: "10ms" } } },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("5s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
  ],
});
