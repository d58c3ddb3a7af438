import {
  at,
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  nothingLeft,
  scenario,
  tccFence,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "tcc-suspension",
  title: { en: "A try arrives after its cancel", zh: "cancel 之后，迟到的 try 才来" },
  explanation: {
    en: "For two seconds account works six times as slowly. Orders give up after a second and are rolled back: the coordinator has account cancel what it hasn't tried yet. When the slow work is done, the try comes after all. Without a fence it would set money aside that nobody will ever use or give back: the branch is over. The fence has noted that, and refuses the try.",
    zh: "有两秒钟，account 的工作慢了六倍。订单等了一秒便放弃并回滚：协调者让 account cancel 一件它还没有 try 的事。等慢的工作做完，try 还是来了。若没有围栏，它会冻结一笔再也没有人会用掉或归还的钱，因为这个分支早已结束。围栏记得这一点，拒绝了这次 try。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ timeout: "5s", reserve: { timeout: "1s" }, account: { serviceTime: "200ms" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("7s"),
  timeline: [at("2s").slow("account/0", { factor: 6, for: "2s" })],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").detects("8%"),
    nothingLeft("order").detects("8%"),
    tccFence("account").shows("suspension").detects("25%"),
  ],
  agreement: { success: "chance" },
});
