import {
  atomicity,
  bank,
  conservation,
  consumer,
  isolation,
  nothingLeft,
  poisson,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-for-update",
  title: {
    en: "What SELECT … FOR UPDATE doesn't exclude",
    zh: "SELECT … FOR UPDATE 排除不了什么",
  },
  explanation: {
    en: "Every order looks by SELECT … FOR UPDATE: at its own account, at its partner's (accounts are partners two by two) and at its good, and at its partner's once more when it has paid. None of them sees what is taken back. But the lock is asked for and not kept: it is gone when the look is over, long before the order writes. So this is read committed and no more, and the run shows what that permits. Lost update: two looked at the same account, and both wrote it. G-single: an order saw its partner's account before that one's payment and after it. G2-item, write skew: two partners each looked at both accounts and paid from their own, and neither saw the other's payment. Who has to exclude that writes the row it goes by, in the same branch. And two partners that have paid and look at each other's account wait for each other until both give up.",
    zh: "每个订单都用 SELECT … FOR UPDATE 查看：自己的账户、伙伴的账户（账户两两结为伙伴）和商品，付款之后再看一次伙伴的账户。没有一个会看到被撤销的数据。但锁只是问一问，并不留着：看完就没有了，远在订单写入之前。所以这只是读已提交，这次运行展示它所允许的一切。丢失更新：两个订单看了同一个账户，又都写了它。G-single：有订单先后看到伙伴付款之前和之后的账户。G2-item，即写偏斜：两个伙伴都看过两个账户，再各自从自己的账户付款，谁也没看到对方那一笔。若必须排除这些，就要在同一个分支里写下自己所依据的那一行。而两个都已付款、又互看对方账户的伙伴会彼此等待，直到双双放弃。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      ...{ mode: "at", items: 8, abortRate: "20%", looks: { locking: "100%", partner: true } },
      account: { serviceTime: { exponential: { mean: "100ms" } } },
      stock: { serviceTime: "40ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: poisson("20/s").on("buyer").for("10s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    isolation("order").shows("lost-update", "G-single", "G2-item").detects("50%"),
  ],
});
