import {
  at,
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "tcc-coordinator-crash",
  title: { en: "The coordinator dies in the middle of transactions", zh: "协调者在事务进行到一半时宕机" },
  explanation: {
    en: "Each order takes money from an account and a piece out of stock by TCC: try sets aside, confirm uses up, cancel gives back. The coordinator is killed while some orders have tried and not yet been decided, and others are being confirmed. Decisions are on its disk before anybody hears of them, so when it is back it goes on where it was: what was decided is finished, what was not is rolled back by its timeout. No money is made or lost, every order is done whole or not at all, and nothing stays set aside.",
    zh: "每个订单都用 TCC 从账户扣钱、从库存出货：try 冻结，confirm 用掉，cancel 归还。协调者被杀死时，有些订单已经 try 完还没有决议，有些正在 confirm。决议总是先写到协调者的磁盘上，之后才告诉别人，所以它回来后会接着做完：已决议的被执行到底，没有决议的到超时时被回滚。钱不会多也不会少，每个订单要么全做要么全不做，也没有任何东西一直被冻结。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ timeout: "2s", account: { serviceTime: "150ms" }, stock: { serviceTime: "150ms" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("7s"),
  timeline: [at("2s").kill("coordinator", { for: "1s" })],
  expect: [conservation("order").detects("8%"), atomicity("order").detects("8%"), nothingLeft("order").detects("8%")],
});
