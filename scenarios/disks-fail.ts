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
  name: "disks-fail",
  title: { en: "One disk is full, another tears a write", zh: "一块磁盘写满，另一块把一次写入写了一半" },
  explanation: {
    en: "Nobody in the bank tells anybody what isn't on his disk yet. First the coordinator's disk is full for a second: it can't note that a transaction begins or what was decided of one, so it says so, and orders fail. What it had decided in memory alone it hasn't told; when there is room it writes down everything that it has, and goes on. Then the power of stock goes in the middle of a write: half of a line is on its disk. Back again, it knows by the line's checksum that it isn't one, and has what it had before; nobody was told of more. No money is made or lost, every order is done whole or not at all, and nothing stays locked.",
    zh: "在这家银行里，没有落盘的事谁也不会告诉别人。先是协调者的磁盘写满一秒：它记不下哪个事务开始了、哪个作了决议，于是如实拒绝，订单失败。只在内存里作出的决议，它还没有告诉任何人；等有了空间，它把自己所知的全部写下来，再接着做。随后 stock 在写到一半时断电：磁盘上只有半行。它回来后凭校验和认出这不是完整的一行，于是仍是此前的状态；更多的内容也没有人被告知过。钱不会多也不会少，每个订单要么全做要么全不做，也没有任何东西一直被锁着。",
  },
  tags: ["transactions", "machine"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ mode: "at", timeout: "2s", account: { serviceTime: "50ms" }, stock: { serviceTime: "50ms" } }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("7s"),
  timeline: [at("2s").diskFull("coordinator", { for: "1s" }), at("4s").tornWrite("stock", { for: "1s" })],
  expect: [conservation("order").detects("8%"), atomicity("order").detects("8%"), nothingLeft("order").detects("8%")],
});
