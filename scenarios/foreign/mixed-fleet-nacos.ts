import { scenario } from "../../harness/scenario/builders.ts";
import mixedFleet from "./mixed-fleet.ts";

const { tags, fleet, load, expect } = mixedFleet;

export default scenario({
  name: "mixed-fleet-nacos",
  title: {
    en: "Two makes of providers, two makes of consumers, joined by Nacos",
    zh: "两种提供者、两种消费者，由 Nacos 牵线",
  },
  explanation: {
    en: "mixed-fleet, with Nacos in between. An application of dubbo-go stands there as an instance with the revision of what it offers, and the offer itself, with the group to call it in, lies in Nacos's configurations: Flyball's consumer reads it there, once a revision, and dubbo-go's reads Flyball's. Nacos has a weight of its own, 1 by default, which dubbo-go's consumer goes by: Flyball's providers register their weight as hundredths there, so that 100 is 1 as well. Without that, all would be found, and dubbo-go's consumer would send Flyball's providers a hundred times as many calls as its own.",
    zh: "mixed-fleet 的场景，换成由 Nacos 牵线。dubbo-go 的应用以实例的形式登记在 Nacos 中，实例带有所提供内容的修订号；内容本身（包括调用时要写明的分组）则在 Nacos 的配置里：Flyball 的消费者每个修订号只去那里读一次，dubbo-go 的消费者同样读取 Flyball 的。Nacos 还有自己的权重，默认为 1，dubbo-go 的消费者正是照它分配：Flyball 的提供者在那里按百分之一登记权重，于是 100 也就是 1。若非如此，大家虽然都能互相找到，dubbo-go 的消费者发给 Flyball 提供者的调用却会是发给自家提供者的一百倍。",
  },
  tags,
  registry: { like: "nacos" },
  fleet,
  load,
  expect,
});
