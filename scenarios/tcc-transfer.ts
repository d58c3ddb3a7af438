import {
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
  name: "tcc-transfer",
  title: { en: "A distributed transaction is done whole or not at all", zh: "分布式事务要么全做，要么全不做" },
  explanation: {
    en: "Each order is a global transaction: a try sets its price aside in an account and a piece in stock, and once both are there the coordinator has both confirmed. One order in five is given up when everything is set aside: both are cancelled, and what was set aside is free again. At every moment an account has as much as before, free, set aside and paid together; and when all is quiet, what was paid is the price of what was taken.",
    zh: "每个订单都是一个全局事务：try 在账户里冻结货款、在库存里冻结一件货；两边都冻结好之后，协调者让两边 confirm。每五个订单有一个在全部冻结之后被放弃：两边都 cancel，冻结的重新可用。任何时刻，账户的可用、冻结、已付之和都与从前一样；一切平静之后，付出的钱恰好是取走的货的价钱。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ abortRate: "20%" }),
  },
  load: constant("30/s").on("buyer").for("5s"),
  expect: [
    successRate("order").atLeast("60%").detects("20%"),
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
  ],
});
