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
  name: "tcc-without-fence",
  title: {
    en: "A try that fails has done something outside, and is cancelled all the same",
    zh: "失败的 try 已在外面做了事，cancel 照样要来",
  },
  explanation: {
    en: "The money is at a card's processor: a try has it set aside there by a call of its own, and then, in three of ten, account says no. With a fence that would be the end of it: the failed try takes its fence's row back with its local transaction, so its cancel finds none, takes it for an empty rollback, and does nothing; the processor would keep the money for ever. So this action has no fence (isFenced: false). Its cancel is run in any case, and what a fence does it does itself: it knows by its own row whether there is something to give back, whether it was done before, and keeps a try out that comes too late. account is killed once meanwhile, so that some cancels come without any try. (Upstream: apache/incubator-seata#6374.)",
    zh: "钱在银行卡处理商那里：try 先用一次单独的调用让对方冻结，然后，十次里有三次，account 说不行。若有围栏，事情就到此为止：失败的 try 随本地事务把自己的围栏记录也带走了，cancel 查不到记录，以为是空回滚，什么也不做；处理商便永远扣着这笔钱。所以这个动作不设围栏（isFenced: false）：cancel 无论如何都会执行，围栏所做的事由它自己做：凭自己的一行记录，它知道有没有东西要归还、是否早已做过，也能挡住来迟的 try。其间 account 被杀死一次，于是有些 cancel 到来时从未有过 try。（上游问题 apache/incubator-seata#6374。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      ...{ timeout: "3s", abortRate: "10%", reserve: { timeout: "1s" } },
      account: { outside: { refuses: "30%" }, serviceTime: "200ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("7s"),
  timeline: [at("3s").kill("account/0", { for: "1s" })],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
  ],
});
