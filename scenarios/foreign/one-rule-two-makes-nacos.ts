import { scenario } from "../../harness/scenario/builders.ts";
import oneRule from "./one-rule-two-makes.ts";

const { tags, fleet, rules, load, timeline, expect } = oneRule;

export default scenario({
  name: "one-rule-two-makes-nacos",
  title: {
    en: "The same documents in Nacos: group dubbo, Dubbo's keys, both makes of consumers",
    zh: "同样的文档放进 Nacos：dubbo 分组、Dubbo 的键、两种消费者",
  },
  explanation: {
    en: "As one-rule-two-makes, with Nacos as registry and config centre: the rules are its configurations flyball.worker.v1.Worker::orders.condition-router and orders.tag-router in the group dubbo. dubbo-go hears of the new version by a push over gRPC, Flyball's consumer by the long poll that it holds over HTTP.",
    zh: "与 one-rule-two-makes 相同，但注册中心和配置中心是 Nacos：规则就是 dubbo 分组里的配置 flyball.worker.v1.Worker::orders.condition-router 与 orders.tag-router。新版本的消息，dubbo-go 靠 gRPC 推送得知，Flyball 的消费者靠自己保持的 HTTP 长轮询得知。",
  },
  tags,
  registry: { like: "nacos" },
  fleet,
  ...(rules && { rules }),
  load,
  timeline,
  expect,
});
