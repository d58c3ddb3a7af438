import { attemptsPerCall, consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

export default scenario({
  name: "adaptive-throttling",
  title: {
    en: "Callers that keep back what would be refused anyway",
    zh: "反正会被拒绝的，调用方自己先留下",
  },
  explanation: {
    en: "orders has four workers, 50 ms of work for each call and room for eight that wait: 80 calls a second, and everybody else is refused. For three seconds 300 arrive. Refusing costs a server too, and a real one soon does nothing else. So storefront throttles itself (K = 2, a window of one second): for each call that was accepted it sends about two, and keeps the others back with RESOURCE_EXHAUSTED before they cost orders anything. Nothing opens or closes: as much as orders can do is still done, and when the crowd has gone the accepted share rises, and within a window everything is sent again.",
    zh: "orders 有四个工作者，每次调用要做 50 毫秒，另有八个等待的位置：每秒 80 次，其余一律拒绝。随后三秒里每秒来 300 次。拒绝对服务端也有代价，真实的服务端很快就只顾着拒绝了。所以 storefront 给自己限流（K = 2，窗口一秒）：每有一次被接受，就大约发送两次，其余的以 RESOURCE_EXHAUSTED 留在本地，不耗 orders 分毫。没有什么打开或闭合：orders 能做多少照样做多少；人群散去，被接受的比例上升，一个窗口之内又全部发送。",
  },
  tags: [],
  fleet: {
    storefront: consumer({
      instances: 1,
      calls: "orders",
      timeout: "500ms",
      cluster: "failfast",
      throttle: { k: 2, window: "1s" },
    }),
    orders: provider({ instances: 1, capacity: 4, serviceTime: "50ms", queueMax: 8 }),
  },
  load: poisson("50/s").for("1s").then("300/s").for("3s").then("60/s").for("3s").on("storefront"),
  timeline: [],
  expect: [
    attemptsPerCall("orders").atMost(0.75).detects(0.9).during("1s..4s"),
    // 80 of 300 at most.
    successRate("orders").atLeast("20%").detects("8%").during("1s..4s"),
    // A window after the crowd has gone everything is sent again.
    successRate("orders").atLeast("90%").detects("40%").during("5s..7s").inRecovery(),
  ],
  // No agreement: who comes first at a full queue is a matter of milliseconds, and each world has its own.
});
