import { property } from "../../../harness/conformance/property.ts";
import { formatShare, partOf, within } from "../../../harness/conformance/measures.ts";
import { constant, scenario, successRate } from "../../../harness/scenario/builders.ts";
import { dubboGoConsumer, dubboGoProvider } from "../dubbo-go/fleet.ts";

export default property({
  area: "registration",
  promise: {
    en: "A provider that is asked for metadata that it doesn't have says so",
    zh: "提供者被问到自己没有的元数据时，会如实相告",
  },
  expected: "fails",
  finding: {
    en: "MetadataServiceV2 takes the answer for an unknown revision, nil without an error, and reads its fields: the handler panics, and the caller's stream is reset (metadata/metadata_service.go). A consumer asks such a question when it has read an instance that has just been registered anew.",
    zh: "未知 revision 得到的是没有错误的 nil，MetadataServiceV2 却照读它的字段：处理函数崩溃，调用方的流被重置（metadata/metadata_service.go）。消费者读到刚刚重新注册过的实例时，就会问出这样的问题。",
  },
  issues: ["https://github.com/apache/dubbo-go/issues/3537"],
  scenario: scenario({
    name: "metadata-of-an-unknown-revision",
    title: { en: "A revision that nobody has", zh: "谁也没有的 revision" },
    explanation: {
      en: "The provider keeps its metadata itself and serves it over Triple; the consumer asks it for those of a revision that doesn't exist.",
      zh: "提供者自己保管元数据，并以 Triple 提供；消费者向它要一个不存在的 revision。",
    },
    fleet: {
      storefront: dubboGoConsumer(
        { calls: "orders", retries: 0 },
        { ASK: "metadata", METADATA_PORT: "20881", REVISION: "nobody-has-it" },
      ),
      orders: dubboGoProvider(
        { instances: 1 },
        { METADATA: "local", METADATA_PROTOCOL: "tri", METADATA_PORT: "20881" },
      ),
    },
    load: constant("30/s").on("storefront").for("3s"),
    // What is measured is how they end; that they all are asked is enough here.
    expect: [successRate("orders").atLeast("50%").detects("0%")],
  }),
  measure: (history) =>
    within(
      partOf(history, "orders", {}, ({ code }) =>
        ["INTERNAL", "UNKNOWN", "UNAVAILABLE", "CANCELLED"].includes(code ?? ""),
      ),
      (broken) => broken === 0,
      (broken) => ({
        en: `${formatShare(broken)} of the questions ended with a broken stream (wanted: none)`,
        zh: `${formatShare(broken)} 的提问以流被中断告终（应当没有）`,
      }),
    ),
});
