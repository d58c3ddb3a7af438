import { property } from "../../../harness/conformance/property.ts";
import { constant, provider, scenario, share } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer } from "../dubbo-go/fleet.ts";

const rule = `configVersion: v3.0
scope: application
key: storefront
enabled: true
configs:
  - side: consumer
    match: { param: [{ key: region, value: { exact: r2 } }] }
    parameters: { weight: "300" }
`;

export default property({
  area: "routing",
  promise: {
    en: "An override rule in today's format (`match`) sets what it says",
    zh: "今天格式（`match`）的覆盖规则说什么就是什么",
  },
  expected: "fails",
  finding: {
    en: "The parser writes the document's version as configVersion, the configurator looks for config-center.configVersion: every document is taken for one of Dubbo 2, where `match` means nothing and an override without an address is ignored (config_center/configurator/override.go).",
    zh: "解析器把文档版本写作 configVersion，配置器却去找 config-center.configVersion：所有文档都被当成 Dubbo 2 的，`match` 不起作用，没有地址的覆盖规则被忽略（config_center/configurator/override.go）。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3661", "https://github.com/apache/dubbo-admin/issues/1091"],
  scenario: scenario({
    name: "override-by-match",
    title: { en: "Weight 300 for region r2, by match", zh: "用 match 把 r2 区域的权重设为 300" },
    explanation: {
      en: "Two providers of weight 100, in r1 and r2; before the first call an override rule of the consumer's application gives those of r2 the weight 300.",
      zh: "r1、r2 两个区域各有一个权重 100 的提供者；第一次调用之前，消费者应用的一条覆盖规则把 r2 的权重设为 300。",
    },
    fleet: {
      storefront: dubboGoConsumer({ calls: "orders" }, { REGISTRATION: "interface", CONFIG_CENTER: "${configCenter}" }),
      orders: provider({ groups: ["r1", "r2"].map((region) => ({ instances: 1, labels: { region } })) }),
    },
    rules: { "storefront.configurators": rule },
    load: constant("150/s").on("storefront").for("5s"),
    expect: [share("orders").byInstance({ "orders/0": 25, "orders/1": 75 }).detects(1.9)],
  }),
});
