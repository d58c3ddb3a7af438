import {
  at,
  attemptsPerCall,
  consumer,
  delivery,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "audit-lost",
  title: { en: "The audit log loses entries, and holds nobody up", zh: "审计日志丢了几条，却没有耽误任何人" },
  explanation: {
    en: "The shop writes an audit log by failsafe: one attempt, and if that fails the answer is empty. One of four instances dies and stays listed until its session expires, so every fourth entry is lost from then on. The shop never hears of it, waits for nothing and makes no second attempt: what was really written only the check `delivery` tells. Right for entries that nobody will miss; wrong for those that an auditor will.",
    zh: "商店用 failsafe 写审计日志：只试一次，失败就返回空答复。四个实例死了一个，会话过期之前一直在列表里，所以此后每四条就丢一条。商店对此一无所知，不等待，也不再试：真正写下了多少，只有检查 `delivery` 知道。丢了也没人在意的日志，这样正好；审计员要看的，就不行了。",
  },
  tags: [],
  fleet: {
    shop: consumer({
      instances: 1,
      calls: "audit",
      timeout: "500ms",
      cluster: "failsafe",
      balancer: "smooth-weighted-round-robin",
    }),
    audit: provider({ instances: 4, serviceTime: "3ms" }),
  },
  load: poisson("80/s").on("shop").for("4s"),
  timeline: [at("1500ms").kill("audit/0")],
  expect: [
    successRate("audit").atLeast("99%").detects("84%"),
    delivery("audit").within("500ms").atLeast("75%").detects("45%"),
    attemptsPerCall("audit").atMost(1.01).detects(1.2),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
