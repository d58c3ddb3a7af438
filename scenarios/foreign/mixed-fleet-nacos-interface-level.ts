import { scenario } from "../../harness/scenario/builders.ts";
import mixedFleet from "./mixed-fleet-interface-level.ts";

const { tags, fleet, load, expect } = mixedFleet;

export default scenario({
  name: "mixed-fleet-nacos-interface-level",
  title: {
    en: "The same through Nacos, an interface a service: providers:<interface>:<version>:<group>",
    zh: "经由 Nacos、按接口注册的混合服务群：providers:<接口>:<版本>:<分组>",
  },
  explanation: {
    en: "As mixed-fleet-interface-level, with Nacos in between: every provider is an instance of the service providers:flyball.worker.v1.Worker::orders, and its parameters are the instance's metadata. dubbo-go learns of changes only by Nacos's pushes over gRPC; Flyball's consumer looks for itself, too. dubbo-go's weight=0 is in the metadata as it is in ZooKeeper, and means as little.",
    zh: "与 mixed-fleet-interface-level 相同，换成由 Nacos 牵线：每个提供者都是服务 providers:flyball.worker.v1.Worker::orders 的一个实例，参数就是实例的元数据。dubbo-go 只能靠 Nacos 经 gRPC 的推送得知变化，Flyball 的消费者还会自己定期查看。dubbo-go 的 weight=0 和在 ZooKeeper 里一样写在元数据中，同样不能当真。",
  },
  tags,
  registry: { like: "nacos" },
  fleet,
  load,
  expect,
});
