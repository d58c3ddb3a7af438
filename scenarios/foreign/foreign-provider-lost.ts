import {
  at,
  attemptsPerCall,
  consumer,
  noDeadCalls,
  poisson,
  provider,
  scenario,
  successRate,
} from "../../harness/scenario/builders.ts";
import { dubboGo } from "./dubbo-go/fleet.ts";

export default scenario({
  name: "foreign-provider-lost",
  title: { en: "A dubbo-go provider dies among Flyball's own", zh: "混在其中的一个 dubbo-go 提供者宕机" },
  explanation: {
    en: "orders/3 is served by dubbo-go and killed without a goodbye. To Flyball's consumer it is one of four: its connections break, calls that meet it are tried elsewhere, and once its session in ZooKeeper has run out nobody tries it any more. Faults, checks and lessons don't depend on who wrote a program.",
    zh: "orders/3 由 dubbo-go 提供，被直接杀死，来不及注销。在 Flyball 的消费者看来它只是四个实例之一：连接断开，碰上它的调用换一个再试；它在 ZooKeeper 的会话过期后，就再没有人访问它。故障、检查和其中的道理，都与程序是谁写的无关。",
  },
  tags: ["foreign"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    orders: provider({
      groups: [{ instances: 2 }, { instances: 2, foreign: dubboGo({ SESSION_TIMEOUT: "1500ms" }) }],
    }),
  },
  load: poisson("130/s").on("storefront").for("8s"),
  timeline: [at("1500ms").kill("orders/3", { for: "5s" })],
  expect: [
    successRate("orders").atLeast("99%").detects("93%"),
    noDeadCalls("orders").within("3s").detects("1s"),
    attemptsPerCall("orders").atMost(1.25).detects(1.6),
  ],
});
