import {
  at,
  atomicity,
  bank,
  conservation,
  constant,
  consumer,
  isolation,
  nothingLeft,
  scenario,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "at-database-crash",
  title: { en: "The databases die between the two phases", zh: "两阶段之间数据库宕机" },
  explanation: {
    en: "The databases of account and stock are killed while orders have one branch committed and not yet the other. A branch is there after the crash with its undo log, or not at all, since both are one local transaction; so whatever the coordinator decides can still be done when they are back, and it asks until it is. A commit that was under way gets no answer: whether it was done, nobody can tell until somebody has the row's lock, and until then it is neither. Nobody reads what was never there, no money is made or lost, and no undo log and no lock stays. Where rows are on the nodes' own disks (everywhere but with Seata and PostgreSQL in world docker) the node dies with its database.",
    zh: "订单的一个分支已经提交、另一个还没有时，account 和 stock 的数据库被杀死。分支的改动和它的 undo log 在同一个本地事务里，所以宕机之后要么两样都在，要么都不在；协调者不论作出什么决议，等数据库回来都还能执行，它会一直问到做完为止。正在提交的那个事务得不到答复：做没做成，要等有人拿到这一行的锁才知道，在那之前两者都不算。没有人会读到从未存在过的值，钱不会多也不会少，undo log 和锁都不会留下。行在节点自己的磁盘上时（除了 docker 世界里用 Seata 和 PostgreSQL 之外都是如此），节点随数据库一起死。",
  },
  tags: ["transactions"],
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 40 } }),
    ...bank({
      mode: "at",
      items: 4,
      abortRate: "40%",
      timeout: "2s",
      looks: { locking: "100%" },
      stock: { serviceTime: "40ms" },
    }),
  },
  coordinator: { retry: "200ms" },
  load: constant("40/s").on("buyer").for("8s"),
  timeline: [at("3s").kill("database", { for: "1500ms" })],
  expect: [
    conservation("order").detects("8%"),
    atomicity("order").ofBothEnds().detects("8%"),
    nothingLeft("order").detects("8%"),
    isolation("order").detects("50%"),
  ],
  // No agreement: who waited longest for a row when the databases died, each world draws by itself.
});
