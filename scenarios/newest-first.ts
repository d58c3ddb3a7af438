import { consumer, latency, poisson, provider, recovery, scenario } from "../harness/scenario/builders.ts";

export default scenario({
  name: "newest-first",
  title: { en: "A full queue serves those who still wait", zh: "排满的队列先照顾还在等的人" },
  explanation: {
    en: "From the second to the fifth second orders gets twice as many calls as its workers can do, and what is too much waits in its queue. First come, first served would make everybody wait: whoever's turn it is has used up nearly all of his 600 ms, and is often gone before the work is done. This queue turns round (adaptive) as soon as somebody waits for 100 ms all the time: the newest is served first and is answered at once, and the oldest, whom nobody can help any more, run out of time in the queue without costing a worker anything. Half of the calls are lost either way; only here the other half is quick.",
    zh: "从第 2 秒到第 5 秒，orders 收到的调用是它的工作者能做的两倍，多出来的在队列里等。先来先服务会让人人都等：轮到谁，谁的 600 毫秒就快用完了，常常活还没干完人已经走了。这里的队列（adaptive）一旦有人持续等了 100 毫秒就掉过头来：最新的先服务，立刻得到答复；最早的已经没有人救得了，就在队列里耗完时间，不占用工作者。无论怎样都要丢掉一半调用，但只有这样，另一半才是快的。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "600ms",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
    }),
    orders: provider({
      instances: 2,
      capacity: 4,
      serviceTime: { exponential: { mean: "50ms" } },
      queue: { order: "adaptive" },
    }),
  },
  load: poisson("90/s").for("2s").then("300/s").for("3s").then("90/s").for("3s").on("storefront"),
  timeline: [],
  expect: [
    // Half of them run out of time, and a failed call counts as slow.
    latency("orders").percentile(40, "350ms").detects("85%").during("2500ms..5s"),
    recovery("orders").after("5s").within("1s").atLeast("98%").p99Below("500ms").detects("1s"),
  ],
  // No agreement: under twice the load a few milliseconds decide who is served, and each world's are its own.
});
