import { consumer, poisson, provider, scenario, share, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "full-link-gray",
  title: {
    en: "A lane that is chosen at the edge holds for the whole chain",
    zh: "入口处选定的泳道，贯穿整条调用链",
  },
  explanation: {
    en: "Two consumers call cart, which calls pricing, which calls stock. The tester's calls carry dubbo.tag=gray in their W3C baggage. cart and stock have a gray instance, pricing has none: the tagged calls use its ordinary ones, keep their tag, and enter the lane again at stock. No handler does anything for that, and nobody without the tag ever meets a gray instance.",
    zh: "两个消费者调用 cart，cart 调用 pricing，pricing 再调用 stock。测试人员的调用在 W3C baggage 里带着 dubbo.tag=gray。cart 和 stock 有灰度实例，pricing 没有：带标签的调用在那里使用普通实例，标签不丢，到了 stock 又回到泳道里。业务代码什么都不用做；没有标签的调用永远不会碰到灰度实例。",
  },
  tags: ["routing"],
  fleet: {
    storefront: consumer({ instances: 1, calls: "cart", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
    tester: consumer({
      instances: 1,
      calls: "cart",
      timeout: "1s",
      balancer: "smooth-weighted-round-robin",
      metadata: { baggage: "dubbo.tag=gray,user=7" },
    }),
    cart: provider({ groups: [{ instances: 2 }, { instances: 1, tag: "gray" }], calls: "pricing", serviceTime: "2ms" }),
    pricing: provider({ instances: 2, calls: "stock", serviceTime: "2ms" }),
    stock: provider({ groups: [{ instances: 2 }, { instances: 1, tag: "gray" }], serviceTime: "2ms" }),
  },
  // Without a document static tags alone count; this one says the same, and shows where rules go.
  rules: { "stock.tag-router": "configVersion: v3.0\nforce: false\nenabled: true\nkey: stock\ntags: []\n" },
  load: [poisson("60/s").on("storefront").for("6s"), poisson("40/s").on("tester").for("6s")],
  expect: [
    share("cart").lane("gray").byTag({ gray: 1, "-": 0 }).detects(1.06),
    share("cart").lane("-").byTag({ gray: 0, "-": 1 }).detects(1.04),
    share("stock").lane("gray").byTag({ gray: 1, "-": 0 }).detects(1.06),
    share("stock").lane("-").byTag({ gray: 0, "-": 1 }).detects(1.04),
    successRate("cart").atLeast("99%").detects("91%"),
  ],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
