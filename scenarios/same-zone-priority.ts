import { at, consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

const rule = `configVersion: v3.1
scope: application
key: orders
enabled: true
runtime: true
affinityAware:
  key: zone
  ratio: 30
`;

export default scenario({
  name: "same-zone-priority",
  title: { en: "Calls stay in their zone until the zone is lost", zh: "调用留在本可用区，直到本区整个丢失" },
  explanation: {
    en: "An affinity rule keeps each caller with the instances of its own zone, as long as those are at least 30 % of all. Zone a loses both of its instances: as soon as the registry has noticed, its callers overflow to zone b, whose own callers notice nothing; when the instances are back, everybody is at home again. Until the registry notices, zone a's calls fail: their retries stay in the zone as well, for affinity knows only what the registry says; and once more when the instances are back, until their callers, who remember having been refused, dial again.",
    zh: "亲和性规则让每个调用方留在本可用区的实例上，只要它们不少于总数的 30 %。可用区 a 的两个实例全部丢失：注册中心一旦察觉，a 区的调用方就溢出到 b 区，b 区自己的调用方毫无感觉；实例回来之后，大家各归各区。在注册中心察觉之前，a 区的调用会失败：重试同样留在区内，因为亲和性只知道注册中心所说的；实例刚回来时也会再失败一小会儿：调用方还记得曾被拒绝，要等退避结束才重新拨号。",
  },
  tags: ["routing"],
  registry: { sessionTimeout: "1s", tick: "200ms" },
  fleet: {
    "storefront-a": consumer({ instances: 1, calls: "orders", timeout: "1s", labels: { zone: "a" } }),
    "storefront-b": consumer({ instances: 1, calls: "orders", timeout: "1s", labels: { zone: "b" } }),
    orders: provider({
      groups: [
        { instances: 2, labels: { zone: "a" } },
        { instances: 2, labels: { zone: "b" } },
      ],
      serviceTime: { exponential: { mean: "5ms" } },
    }),
  },
  rules: { "orders.affinity-router": rule },
  load: [poisson("150/s").on("storefront-a").for("8s"), poisson("50/s").on("storefront-b").for("8s")],
  timeline: [at("1500ms").kill("orders/0", { for: "3s" }), at("1500ms").kill("orders/1", { for: "3s" })],
  expect: [
    share("orders")
      .from("storefront-a")
      .byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 0, "orders/3": 0 })
      .detects(1.8)
      .during("0s..1500ms"),
    share("orders")
      .from("storefront-a")
      .byInstance({ "orders/0": 0, "orders/1": 0, "orders/2": 1, "orders/3": 1 })
      .detects(1.8)
      .during("3s..4500ms"),
    share("orders")
      .from("storefront-a")
      .byInstance({ "orders/0": 1, "orders/1": 1, "orders/2": 0, "orders/3": 0 })
      .detects(1.8)
      .during("6500ms..8s"),
    share("orders")
      .from("storefront-b")
      .byInstance({ "orders/0": 0, "orders/1": 0, "orders/2": 1, "orders/3": 1 })
      .detects(1.6),
    successRate("orders").from("storefront-b").atLeast("99%").detects("88%"),
    successRate("orders").from("storefront-a").atLeast("99%").detects("89%").outside("1500ms..6s"),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
