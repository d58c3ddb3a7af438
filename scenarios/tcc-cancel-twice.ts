import {
  at,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
  tccFence,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "tcc-cancel-twice",
  title: { en: "Two cancels arrive at the same moment, and no try", zh: "两个 cancel 同时到达，却从未有过 try" },
  explanation: {
    en: "account has registered some dozens of branches and is slow to try them, when it stands still for more than a second. Their orders give up, and the coordinator asks for a cancel; it hears nothing for a while, and asks again, and again. When account goes on, it finds them all at its door: several cancels of one branch, at the same moment, and no row in the fence that either of them could lock. One adds the row that says suspended; the others wait for it, find it there, and have nothing to do. Each says that it is done, no branch is left over, and the late try is refused. (Upstream: apache/incubator-seata#6679, where each of two cancels locked the gap in which the other one wanted its row.)",
    zh: "account 已经注册了几十个分支，还没来得及 try，便停住了一秒多。这些订单放弃了，协调者要求 cancel；迟迟听不到答复，便再要求一次，又一次。account 恢复时，它们全都等在门口：同一个分支的好几个 cancel 同时到达，围栏里却没有任何一行可供它们上锁。其中一个插入表示“已挂起”的一行；其余的等它做完，发现那一行已在，便无事可做。每一个都答复已完成，没有分支遗留，迟到的 try 遭到拒绝。（上游问题 apache/incubator-seata#6679：两个 cancel 各自锁住了对方要插入的间隙。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ timeout: "5s", reserve: { timeout: "1500ms" }, account: { serviceTime: "400ms" } }),
  },
  coordinator: { retry: "100ms", branchTimeout: "100ms" },
  load: constant("30/s").on("buyer").for("6s"),
  timeline: [
    at("1500ms").slow("account/0", { factor: 5, for: "1400ms" }),
    at("2900ms").pause("account/0", { for: "1600ms" }),
  ],
  expect: [
    conservation("order").detects("8%"),
    nothingLeft("order").detects("8%"),
    tccFence("account").shows("duplicate-cancel").detects("40%"),
  ],
  agreement: { success: "chance" },
});
