import { at, consumer, poisson, provider, scenario, sticky, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "keys-stay",
  title: { en: "An instance leaves, and only its keys move", zh: "一个实例离开，只有它的键搬家" },
  explanation: {
    en: "Each call has one of 200 keys, and each key its instance, whose cache is warm for it. orders/3 stops at 2 s and is back at 5 s. On storefront's ring (consistent hashing) an instance owns the stretches before its points: they go to whoever is next while it is away, and come back with it. Nobody else's key moves. kiosk has no ring but numbered buckets (jump hash): the last one may come and go like that, so orders/3 returns as the last and takes back a quarter. A plain hash modulo the number of instances would move half of all keys between the three that never left.",
    zh: "每个调用带着 200 个键之一，每个键有自己的实例，那里的缓存已经为它热好。orders/3 在第 2 秒停下，第 5 秒回来。storefront 用哈希环（一致性哈希）：实例拥有自己各个点之前的弧段，它不在时弧段归下一个点的主人，回来后归还；别人的键一个也不动。kiosk 没有环，只有编了号的桶（跳跃哈希）：末尾的桶可以这样来去，orders/3 回来时排在最后，拿回四分之一的键。若只拿哈希值对实例数取模，那三个从未离开的实例之间就会有一半的键搬家。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      balancer: "consistent-hash",
      hash: { arguments: "0.key" },
      key: { name: "user-id", count: 200 },
    }),
    kiosk: consumer({
      instances: 1,
      calls: "orders",
      timeout: "1s",
      balancer: "jump-hash",
      hash: { arguments: "0.key" },
      key: { name: "user-id", count: 200 },
    }),
    orders: provider({ instances: 4, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: ["storefront", "kiosk"].map((name) => poisson("140/s").on(name).for("8s")),
  timeline: [at("2s").stop("orders/3"), at("5s").restart("orders/3")],
  expect: [
    sticky("orders").byInstance().except("orders/3").from("storefront").detects("5%"),
    // Before orders/3 leaves, its bucket may be any: the embedded registry lists whoever came first.
    sticky("orders").byInstance().except("orders/3").from("kiosk").during("3s..8s").detects("5%"),
    successRate("orders").atLeast("99%").detects("95%"),
  ],
  // No agreement on shares: the ring is made of addresses, as Dubbo's is, and each world has its own.
});
