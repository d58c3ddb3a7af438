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
  name: "at-coordinator-crash",
  title: { en: "The coordinator dies while branches are committed already", zh: "分支已经提交时协调者宕机" },
  explanation: {
    en: "In AT a branch commits at once, and keeps in its undo log what it takes to undo that. The coordinator is killed while some orders have taken money and not yet goods. What wasn't decided then is rolled back by its timeout once the coordinator is back: each row gets the values that the undo log has. What was decided needs nothing but that the undo logs go. No money is made or lost, every order is done whole or not at all, and no undo log and no global lock is left.",
    zh: "AT 模式下分支立即提交，并在 undo log 里留下撤销它所需的一切。协调者被杀死时，有些订单已经扣了钱，还没有出货。那时没有决议的，等协调者回来后因超时而回滚：每一行恢复成 undo log 里的值。已经决议的，只需把 undo log 删掉。钱不会多也不会少，每个订单要么全做要么全不做，undo log 和全局锁都不会留下。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ mode: "at", timeout: "2s", account: { serviceTime: "150ms" }, stock: { serviceTime: "150ms" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("7s"),
  timeline: [at("2s").kill("coordinator", { for: "1s" })],
  expect: [conservation("order").detects("8%"), atomicity("order").detects("8%"), nothingLeft("order").detects("8%")],
});
