import { bank, conservation, constant, consumer, isolation, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-lock-keys",
  title: {
    en: "A row is locked by what its key says, whatever kind of key it is",
    zh: "行凭主键的内容上锁，不论主键是什么样",
  },
  explanation: {
    en: "The global lock of a row is a text that is made of its primary key, so two who mean the same row must come to the same text. Goods have a blob for a key here: it is written out byte by byte. Accounts have a key of two columns, the item and an edition, and a payment removes the row and adds it anew with the next edition: the row that is gone is locked as well as the one that has come, for whoever is given up brings it back. Four accounts, four goods, three orders in ten given up: many want the same row, each waits for the others, and no one writes over what another one takes back. (Upstream: apache/incubator-seata#7738, where a blob was locked by its object's address, so that each lock was another one; apache/incubator-seata-go#1187, where a DELETE locked nothing.)",
    zh: "一行的全局锁是由主键写成的一段文字，所以指同一行的两个事务必须写出同样的文字。这里，商品的主键是二进制：按内容逐字节写出。账户的主键有两列：名字和版次；每次付款都删除旧行，再以下一个版次插入新行。消失的行与新来的行一样要上锁，因为被放弃的订单会把它恢复。四个账户、四种商品，十个订单里有三个被放弃：许多订单争抢同一行，彼此等待，没有一个会盖掉别人将要撤销的数据。（上游问题 apache/incubator-seata#7738：二进制主键按对象地址上锁，于是每把锁都不相同；apache/incubator-seata-go#1187：DELETE 什么也没锁住。）",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 40 } }),
    ...bank({
      ...{ mode: "at", items: 4, abortRate: "30%", instalments: 2, looks: { locking: "100%" } },
      account: { keys: "edition", serviceTime: "10ms" },
      stock: { keys: "blob", serviceTime: "40ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("30/s").on("buyer").for("8s"),
  expect: [conservation("order").detects("8%"), isolation("order").detects("50%")],
});
