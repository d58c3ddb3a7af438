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
  name: "mixed-fleet-interface-level",
  title: {
    en: "The same fleet with Dubbo's older registrations, an interface a node",
    zh: "同样的混合服务群，用 Dubbo 较老的接口级注册",
  },
  explanation: {
    en: "As mixed-fleet, but the dubbo-go programs register and look up at interface level. dubbo-go writes weight=0 there whatever it is told, and honours it when it reads: beside providers with a weight its own get nothing. So its consumer has a service of Flyball's to itself here, and Flyball's consumer, which takes that 0 for the default, spreads its calls evenly over both makes.",
    zh: "与 mixed-fleet 相同，但 dubbo-go 程序用接口级注册与查找。dubbo-go 在这里总是写下 weight=0，读的时候又当真：与有权重的提供者在一起，它自己的就分不到调用。所以这里让它的消费者单独调用 Flyball 的一个服务；而 Flyball 的消费者把这个 0 当作默认权重，把调用均匀地分给两种提供者。",
  },
  tags: ["foreign"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "weighted-random" }),
    "storefront-go": dubboGoConsumer({ calls: "stock" }, { REGISTRATION: "interface" }),
    orders: provider({
      groups: [{ instances: 2 }, { instances: 2, foreign: dubboGo({ REGISTRATION: "interface" }) }],
    }),
    stock: provider({ instances: 2 }),
  },
  load: [constant("150/s").on("storefront").for("6s"), constant("50/s").on("storefront-go").for("6s")],
  expect: [
    successRate("orders").atLeast("99.5%").detects("94%"),
    successRate("stock").atLeast("99%").detects("85%"),
    share("orders").byInstance("equal").detects(1.7),
    share("stock").byInstance("equal").detects(1.7),
    attemptsPerCall("orders").atMost(1.05).detects(1.5),
  ],
});
