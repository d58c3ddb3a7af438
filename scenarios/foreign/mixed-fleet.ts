import {
  attemptsPerCall,
  constant,
  consumer,
  provider,
  scenario,
  share,
  successRate,
} from "../../harness/scenario/builders.ts";
import { dubboGo, dubboGoConsumer } from "./dubbo-go/fleet.ts";

export default scenario({
  name: "mixed-fleet",
  title: {
    en: "Two makes of providers, two makes of consumers, one registry",
    zh: "两种提供者、两种消费者，共用一个注册中心",
  },
  explanation: {
    en: "orders/0 and orders/1 are Flyball's, orders/2 and orders/3 are dubbo-go's, each registered in its own way. Both a Flyball consumer and a dubbo-go consumer find all four in the registry and spread their calls evenly over them: who wrote a provider makes no difference. dubbo-go writes weight=0 at interface level whatever it is told; Flyball's consumer takes that for the default.",
    zh: "orders/0 和 orders/1 是 Flyball 自己的提供者，orders/2 和 orders/3 由 dubbo-go 提供，各按各的方式注册。Flyball 的消费者和 dubbo-go 的消费者都能在注册中心里找到这四个实例，并把调用均匀地分给它们：提供者是谁写的并无差别。dubbo-go 在接口级注册时总会写下 weight=0，Flyball 的消费者把它当作默认权重。",
  },
  tags: ["foreign"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random" }),
    "storefront-go": dubboGoConsumer({ calls: "orders" }),
    orders: provider({
      groups: [{ instances: 2 }, { instances: 2, foreign: dubboGo() }],
    }),
  },
  load: [constant("150/s").on("storefront").for("6s"), constant("50/s").on("storefront-go").for("6s")],
  expect: [
    successRate("orders").atLeast("99.5%").detects("95%"),
    share("orders").byInstance("equal").detects(1.6),
    attemptsPerCall("orders").atMost(1.05).detects(1.5),
  ],
});
