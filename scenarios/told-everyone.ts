import {
  at,
  callsEnd,
  consumer,
  delivery,
  poisson,
  provider,
  scenario,
  successRate,
} from "../harness/scenario/builders.ts";

export default scenario({
  name: "told-everyone",
  title: { en: "Every cache is told to forget, or the call fails", zh: "每个缓存都得到通知，否则调用失败" },
  explanation: {
    en: "The shop tells the caches by broadcast which entry to forget: each call goes to every instance in turn, and it is well only where all have answered. While all three live, all three hear each call. One dies and stays listed until its session expires: from then on every single call fails, though the other two go on hearing it. That is what broadcast promises, and why it is for commands only whose failure somebody looks at.",
    zh: "商店用 broadcast 通知各缓存忘掉某个条目：每次调用依次发给每个实例，全部答复才算成功。三个都活着，每次调用三个都能听到。死了一个，在会话过期之前它还在列表里：从此每次调用都失败，尽管其余两个照样听到了。这正是 broadcast 的承诺，所以它只适合失败了有人管的命令。",
  },
  tags: [],
  fleet: {
    shop: consumer({ instances: 1, calls: "caches", timeout: "500ms", cluster: "broadcast" }),
    caches: provider({ instances: 3, serviceTime: "2ms" }),
  },
  load: poisson("80/s").on("shop").for("4s"),
  timeline: [at("1500ms").kill("caches/0")],
  expect: [
    delivery("caches").toEvery().within("500ms").atLeast("97%").detects("50%").during("0s..1400ms"),
    successRate("caches").atLeast("97%").detects("50%").during("0s..1400ms"),
    callsEnd("caches", "UNAVAILABLE").atLeast("97%").detects("65%").during("1600ms..4s"),
    delivery("caches").within("500ms").atLeast("97%").detects("65%").during("1600ms..4s"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%" },
});
