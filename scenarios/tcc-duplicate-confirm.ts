import { at, bank, conservation, constant, consumer, scenario, tccFence } from "../harness/scenario/builders.ts";

export default scenario({
  name: "tcc-duplicate-confirm",
  title: { en: "A confirm is asked for twice and done once", zh: "confirm 被要求两次，只做一次" },
  explanation: {
    en: "For two seconds the way between account and the coordinator takes 400 ms longer. account confirms what it is asked to, but its answer comes too late: the coordinator has given up waiting and asks again, as it must, since it can't know whether it was done. The fence has the first confirm in the same local transaction as the money, so the second one finds it done and pays nothing.",
    zh: "有两秒钟，account 与协调者之间的往返慢了 400 毫秒。account 按要求做了 confirm，可是应答来得太迟：协调者已不再等待，于是再问一次。它必须这么做，因为它无从知道到底做了没有。围栏的记录与钱的变动在同一个本地事务里，所以第二次 confirm 发现已经做过，一分钱也不再付。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ timeout: "5s" }),
  },
  coordinator: { retry: "200ms", branchTimeout: "150ms" },
  load: constant("30/s").on("buyer").for("6s"),
  timeline: [at("2s").latency({ from: "account", to: "coordinator" }, { add: "400ms", for: "2s" })],
  expect: [conservation("order").detects("8%"), tccFence("account").shows("duplicate-confirm").detects("25%")],
});
