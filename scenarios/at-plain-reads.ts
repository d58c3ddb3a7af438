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
  name: "at-plain-reads",
  title: {
    en: "What AT's plain reads permit: one of each anomaly",
    zh: "AT 的普通读允许什么：每种异常各一例",
  },
  explanation: {
    en: "Accounts are partners two by two. An order looks at its own account, at its partner's and at its good, pays one half, takes its piece, pays the other half, and looks at its partner's account once more. Seven orders in ten look plainly, as AT does by default, and the run shows one of everything that this permits. G1b: an order saw an account between two halves of a payment. G1c: two partners each saw what the other one had written, so neither can have come first. Lost update: two looked at the same account, and both wrote it. G-single: an order saw its partner's account before that one's payment and after it. G2-item, write skew: two partners each looked at both accounts and paid from their own, and neither saw the other's payment: a rule such as “both together may not fall below zero” would be broken. Those who lock still never see what is taken back.",
    zh: "账户两两结为伙伴。一个订单先查看自己的账户、伙伴的账户和商品，付一半，取货，再付另一半，最后再看一次伙伴的账户。十个订单里有七个用普通读，这正是 AT 的默认，而这次运行会把它所允许的一切各展示一例。G1b：有订单看到了两次付款之间的账户。G1c：两个伙伴各自看到了对方写下的值，于是谁都不可能在先。丢失更新：两个订单看了同一个账户，又都写了它。G-single：有订单先后看到伙伴付款之前和之后的账户。G2-item，即写偏斜：两个伙伴都看过两个账户，再各自从自己的账户付款，谁也没看到对方那一笔；“两个账户合计不得为负”这样的规则就会被打破。而加锁读的订单，依然从不会看到将被撤销的数据。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      ...{ mode: "at", items: 6, abortRate: "30%", instalments: 2, looks: { locking: "30%", partner: true } },
      account: { serviceTime: "10ms" },
      stock: { serviceTime: "50ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("8s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    isolation("order").shows("G1b", "G1c", "lost-update", "G-single", "G2-item").detects("40%"),
  ],
});
