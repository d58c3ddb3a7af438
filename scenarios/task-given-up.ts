import { abandonedWork, consumer, poisson, provider, scenario, taskFates } from "../harness/scenario/builders.ts";

export default scenario({
  name: "task-given-up",
  title: {
    en: "The user leaves, and three tiers down the work stops",
    zh: "用户一走，三层之下的工作也随之停下",
  },
  explanation: {
    en: "Nothing is broken here: users of the storefront leave when they have waited for about 250 ms. Leaving cancels the call; the cancellation crosses the wire to orders, whose task is given up, and with it goes its own call to payments, whose task is given up in turn. Each server lets go within 50 ms of hearing so, whatever its handler was doing. No deadline helps here: they are all three seconds.",
    zh: "这里什么都没坏：商城的用户等上约 250 毫秒就走。一走就取消调用；取消传到 orders，那里的任务被放弃，它对 payments 的调用也随之取消，payments 的任务同样被放弃。不管处理函数正在做什么，每个服务端都在得知后 50 毫秒内放手。截止时间在这里帮不上忙：全是三秒。",
  },
  tags: [],
  tasks: true,
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "3s",
      cluster: "failfast",
      patience: { exponential: { mean: "250ms" } },
    }),
    orders: provider({
      instances: 2,
      calls: "payments",
      timeout: "3s",
      cluster: "failfast",
      balancer: "smooth-weighted-round-robin",
      serviceTime: { exponential: { mean: "10ms" } },
    }),
    payments: provider({ instances: 2, serviceTime: { exponential: { mean: "150ms" } } }),
  },
  load: poisson("80/s").on("storefront").for("8s"),
  timeline: [],
  expect: [
    abandonedWork("payments").within("50ms").detects("5%"),
    taskFates("orders").only("answered", "given-up").detects("2%"),
  ],
  // No agreement: who gives up, and with it the slowest hundredth, is a draw for each call, and two draws of this many differ by more than a tolerance allows.
});
