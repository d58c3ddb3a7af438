import { at, bank, conservation, constant, consumer, scenario, tccFence } from "../harness/scenario/builders.ts";

export default scenario({
  name: "tcc-duplicate-confirm",
  title: { en: "A confirm is asked for twice and done once", zh: "confirm 被要求两次，只做一次" },
  explanation: {
    en: "For a second and a half nothing that account says reaches the coordinator, and then their connection breaks. Some twenty orders have reserved by then and are being committed: account hears the coordinator and confirms, but its answers are lost. The coordinator asks again, as it must, since it can't know whether it was done. The fence has the first confirm in the same local transaction as the money, so the second one finds it done and pays nothing.",
    zh: "有一秒半的时间，account 说的话一句也到不了协调者，随后连接断开。那时大约有二十个订单已经预留、正在提交：account 听得见协调者，也做了 confirm，可是应答丢了。协调者只好再问一次。它必须这么做，因为它无从知道到底做了没有。围栏的记录与钱的变动在同一个本地事务里，所以第二次 confirm 发现已经做过，一分钱也不再付。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "6s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ timeout: "8s", reserve: { timeout: "3s" }, stock: { serviceTime: "800ms" } }),
  },
  coordinator: { retry: "200ms", branchTimeout: "300ms" },
  load: constant("30/s").on("buyer").for("6s"),
  timeline: [
    at("2s").partition({ from: "account", to: "coordinator" }, { direction: "forward", for: "1500ms" }),
    at("3400ms").reset({ from: "account", to: "coordinator" }),
  ],
  expect: [conservation("order").detects("8%"), tccFence("account").shows("duplicate-confirm").detects("30%")],
});
