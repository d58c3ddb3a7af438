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
  name: "at-instalments",
  title: { en: "One order changes a row five times, and takes it all back", zh: "一个订单把同一行改五次，再全部撤销" },
  explanation: {
    en: "An order pays in five parts, each of them a branch of its own that changes the same account: one before it has its piece, four one right after the other once it has. Half of the orders are given up then. Each branch's undo log says what the row was before that branch and after it, so they can only be undone last first: whoever begins with another one finds what it hasn't written, takes it for a stranger's (a dirty write), and the order waits for a person. They come within milliseconds of each other, and are told apart by their ids, which only grow. (Upstream: apache/incubator-seata#5666, #3045 and #2186, where branches were put in order by times in whole seconds.)",
    zh: "一个订单分五次付款，每次都是一个单独的分支，改的都是同一个账户：取货之前一次，取货之后紧接着四次。随后有一半的订单被放弃。每个分支的 undo log 记着这一行在它之前和之后的样子，所以只能从最后一个开始倒着撤销：若从别的分支开始，就会看到不是自己写下的值，以为有外人写过（脏写），订单便只能等人来处理。这些分支前后只差几毫秒，靠编号区分先后，编号只增不减。（上游问题 apache/incubator-seata#5666、#3045、#2186：分支按整秒的时间排序。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 400 } }),
    ...bank({ mode: "at", items: 400, abortRate: "50%", instalments: 5 }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("5s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
  ],
});
