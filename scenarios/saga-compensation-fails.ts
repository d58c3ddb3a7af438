import { bank, conservation, constant, consumer, sagaSteps, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "saga-compensation-fails",
  title: { en: "A step that can't be taken back needs a person", zh: "撤销不了的一步，要由人来处理" },
  explanation: {
    en: "Half of the orders are given up when everything is paid and taken, and half of those pieces are gone for good: stock refuses to have them back. A compensation that fails is tried again, but not for ever: after three times the saga stops where it is. It doesn't give the money back as if all were well, and it doesn't go on trying unseen: the coordinator has the transaction as RollbackFailed, with its steps on the saga's disk, until a person has settled it.",
    zh: "一半的订单在付款、取货之后放弃，其中又有一半的货已经回不来：库存拒绝收回。补偿失败会重试，但不会永远重试：三次之后 Saga 就停在原处。它不会装作一切正常而把钱退掉，也不会在无人知晓处一直重试：协调者把该事务记为 RollbackFailed，各步骤留在 Saga 的磁盘上，直到有人来处理。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ mode: "saga", timeout: "4s", items: 20, abortRate: "50%", stock: { kept: "50%" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("6s"),
  timeline: [],
  expect: [conservation("order").detects("8%"), sagaSteps("order").shows("repair").detects("25%")],
});
