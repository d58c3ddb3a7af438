import { consumer, latency, poisson, provider, scenario, share } from "../harness/scenario/builders.ts";

export default scenario({
  name: "turns-or-dice",
  title: { en: "Turns and dice share alike, and queue differently", zh: "轮流与掷骰子：份额相同，排队不同" },
  explanation: {
    en: "orders and stock are alike: four instances that do one call at a time, 40 ms each, and 70 calls a second keep them busy for 70 % of it. storefront takes turns (round-robin): an instance gets every fourth call, so calls that come together don't meet there, and nine in ten are done within 75 ms. kiosk throws dice (uniform-random): in the end each instance of stock has its quarter too, but now and then three in a row go to the same one and queue while another has nothing to do; nine in ten take up to 160 ms. What speaks for dice: they remember nothing, and many callers that throw them can't fall into step. Neither looks at weights: those of stock are 50 to 200, as left behind by somebody, and the quarters stay quarters.",
    zh: "orders 和 stock 一模一样：四个实例，一次只做一个调用，每个 40 毫秒；每秒 70 个调用，实例有七成时间在忙。storefront 轮着来（round-robin）：每个实例每四个调用轮到一个，同时到来的调用不会在一处相遇，九成调用 75 毫秒之内完成。kiosk 掷骰子（uniform-random）：到头来 stock 的每个实例也各得四分之一，但时不时连着三个落到同一个实例上排队，而旁边的实例闲着；九成调用要到 160 毫秒。骰子的好处：什么都不用记，调用方再多也不会步调一致。两者都不看权重：stock 的权重是不知谁留下的 50 到 200，四分之一仍是四分之一。",
  },
  tags: [],
  fleet: {
    storefront: consumer({ instances: 1, calls: "orders", timeout: "2s", balancer: "round-robin" }),
    kiosk: consumer({ instances: 1, calls: "stock", timeout: "2s", balancer: "uniform-random" }),
    orders: provider({ instances: 4, capacity: 1, serviceTime: "40ms" }),
    stock: provider({
      groups: [
        { instances: 1, weight: 50 },
        { instances: 1, weight: 100 },
        { instances: 1, weight: 150 },
        { instances: 1, weight: 200 },
      ],
      capacity: 1,
      serviceTime: "40ms",
    }),
  },
  load: ["storefront", "kiosk"].map((name) => poisson("70/s").on(name).for("10s")),
  timeline: [],
  expect: [latency("orders").percentile(90, "100ms").detects("35%"), share("stock").byInstance("equal").detects(2.1)],
  agreement: { share: "chance", success: 0.03, p99: "25%" },
});
