import {
  at,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  sagaSteps,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "saga-engine-crash",
  title: { en: "The engine dies while it takes sagas back", zh: "撤销 Saga 的途中，引擎宕机" },
  explanation: {
    en: "Half of the orders are given up when everything is paid and taken, and to take a step back takes as long as to do it. The node that runs the sagas is killed while it has dozens of them to take back: of some the piece is back and the money isn't, of others a compensation is under way whose answer nobody will hear. What was begun and what is done is on the disk, step by step. Back again, the engine goes on where each saga was: what is done isn't done again, what was under way is asked for once more, and its participant knows by its fence whether it was. Each step is taken back once, and every saga comes to its end. (Upstream: apache/incubator-seata#5077, #5173 and #2824, where a crash in the middle of a compensation left a saga that never ended, or was compensated again and again.)",
    zh: "一半的订单在付款、取货之后放弃，而撤销一步与做一步一样费时。运行 Saga 的节点被杀死时，手里正有几十个要撤销：有的货已还、钱未退，有的补偿正在途中，其应答再也没有人听见。开始了什么、做完了什么，每一步都写在磁盘上。引擎回来后，每个 Saga 都从停下的地方继续：做完的不再做，正在途中的再要求一次，参与者凭围栏知道到底做过没有。每一步恰好撤销一次，每个 Saga 都会走到终点。（上游问题 apache/incubator-seata#5077、#5173、#2824：补偿途中宕机，Saga 便永远不结束，或者反复补偿。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "4s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({
      ...{ mode: "saga", timeout: "4s", items: 100, abortRate: "50%" },
      ...{ account: { serviceTime: "400ms" }, stock: { serviceTime: "400ms" } },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("80/s").on("buyer").for("6s"),
  timeline: [at("3s").kill("order/0", { for: "1s" })],
  expect: [
    conservation("order").detects("8%"),
    nothingLeft("order").detects("8%"),
    sagaSteps("order").shows("resumption").detects("40%"),
  ],
});
