import {
  at,
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
  name: "saga-compensation",
  title: { en: "A saga takes back what it did, the last step first", zh: "Saga 倒着撤销它做过的事" },
  explanation: {
    en: "An order is a saga: it pays, then takes a piece, and each is there for everybody to see at once. Almost half of the orders are given up after that, and what they did is taken back by compensations, the piece first, then the money. In between, the node that runs the sagas is killed. Its state was on the disk before every step, so when it is back each saga ends: every step that was done is kept, or taken back once.",
    zh: "一个订单是一个 Saga：先付款，再取货，每一步做完立刻人人可见。将近一半的订单随后放弃，已做的事由补偿撤销：先还货，再退款。中途，运行 Saga 的节点被杀死。每一步之前状态都已写到磁盘，所以它回来后每个 Saga 都会走完：做过的每一步，要么保留，要么恰好撤销一次。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      ...{ mode: "saga", timeout: "4s", items: 20, abortRate: "45%" },
      ...{ account: { serviceTime: "15ms" }, stock: { serviceTime: "15ms" } },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("7s"),
  timeline: [at("3s").kill("order/0", { for: "1s" })],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    sagaSteps("order").shows("compensation").detects("20%"),
  ],
});
