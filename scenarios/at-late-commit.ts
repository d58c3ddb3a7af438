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
  name: "at-late-commit",
  title: { en: "A rollback overtakes the commit that it is to undo", zh: "回滚抢在它要撤销的提交之前到达" },
  explanation: {
    en: "account has registered its branch, and takes a while until its rows and their undo log are committed; for two seconds that takes ten times as long. Meanwhile the order's time is over, and the coordinator has account undo what isn't there yet. There is no undo log, so account leaves a fence in its place: a row that says that this branch is over. When the late commit comes at last, it finds its place taken and is refused, and nothing of it stays. Were it committed, its money would be gone for good, since nobody comes to undo it a second time. Other orders come so late that their transaction is over before they register: those are refused by the coordinator, and leave no lock. (Upstream: apache/incubator-seata#152 and #489, where the late commit stayed; #4969, #3220 and #5404, where a late branch left its locks.)",
    zh: "account 已经注册了分支，还要过一会儿才把自己的行和 undo log 一起提交；有两秒钟，这段时间长达平时的十倍。其间订单超时，协调者要 account 撤销一件还没有发生的事。undo log 不存在，于是 account 在它的位置上留下围栏：一行记录，说明这个分支已经结束。等迟到的提交终于到来，发现位置已被占住，便遭到拒绝，什么也不留下。假如它提交成功，这笔钱就永远没了，因为不会再有人来撤销第二次。另一些订单来得更晚，还没注册事务就已结束：协调者拒绝它们，也不留下锁。（上游问题 apache/incubator-seata#152、#489：迟到的提交留了下来；#4969、#3220、#5404：迟到的分支留下了锁。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ mode: "at", timeout: "1s", reserve: { timeout: "2s" }, account: { commitTime: "150ms" } }),
  },
  coordinator: { retry: "100ms" },
  load: constant("30/s").on("buyer").for("7s"),
  timeline: [at("2s").slow("account/0", { factor: 10, for: "2s" })],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().shows("late-commit").detects("8%"),
    nothingLeft("order").detects("8%"),
  ],
  agreement: { success: "chance" },
});
