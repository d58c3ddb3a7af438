import {
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  sagaSteps,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "saga-dirty-read",
  title: { en: "Others see what a saga then takes back", zh: "Saga 随后撤销的事，别人已经看见" },
  explanation: {
    en: "A saga has no isolation: each step is a local transaction of its own, and there for everybody to see as soon as it is done. Here each order first looks at its account, and four accounts are shared by all. Half of the orders are given up when everything is paid and taken. Between a payment and its compensation others look, and see an account from which money is gone that comes back later: a dirty read, and nothing holds it up, for there is no lock that one could ask for. Nobody's steps get into disorder by that, and no money is lost. But whoever decides by what it saw has decided by what never was; so let a saga look again in the step that matters, or write what it must not lose.",
    zh: "Saga 没有隔离性：每一步都是独立的本地事务，做完立刻人人可见。这里每个订单先查看自己的账户，而所有订单共用四个账户。一半的订单在付款、取货之后放弃。在付款与它的补偿之间，别人看见账户里的钱少了，而这笔钱后来又回来：这就是脏读；没有任何东西拦住它，因为根本没有锁可问。谁的步骤都不会因此乱了次序，钱也没有丢。但凡依所见作出决定的，依据的便是从未成立的事；所以要在真正要紧的那一步里再看一次，或者把不能丢的东西写下来。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 40 } }),
    ...bank({
      ...{ mode: "saga", timeout: "4s", items: 4, abortRate: "50%", looks: {} },
      ...{ account: { serviceTime: "10ms" }, stock: { serviceTime: "30ms" } },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("5s"),
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    sagaSteps("order").shows("dirty-read").detects("25%"),
  ],
});
