import { callsEnd, consumer, poisson, provider, scenario, successRate } from "../harness/scenario/builders.ts";

const calling = { instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" } as const;

export default scenario({
  name: "unauthorised",
  title: { en: "Who may not call is told so, and nobody learns a secret", zh: "无权者得到明确的拒绝，密钥谁也看不到" },
  explanation: {
    en: "orders lets in calls that carry the token from its registration and are signed with the secret of a known access key (Dubbo's token and HMAC signature); of those, only the key storefront may call `Do`. Storefront is served. Reader is known and may not: PERMISSION_DENIED. Intruder signs with a secret that it made up, stranger doesn't sign at all: UNAUTHENTICATED. Nothing of this is tried again, and no secret, token or signature is in the history, in a log or in any other file of the run. The secrets are made for each run: this scenario only names them.",
    zh: "orders 只放行带有注册信息里的令牌、并用已知访问密钥所对应的密钥签名的调用（Dubbo 的 token 与 HMAC 签名）；其中只有访问密钥 storefront 可以调用 `Do`。storefront 得到服务；reader 身份已知但无权：PERMISSION_DENIED；intruder 用自己编造的密钥签名，stranger 根本不签名：UNAUTHENTICATED。这些都不会重试，历史记录、日志以及这次运行的任何文件里都没有密钥、令牌或签名。密钥每次运行现做：场景里只有它们的名字。",
  },
  tags: ["security"],
  fleet: {
    storefront: consumer({ ...calling, credentials: { accessKey: "storefront" } }),
    reader: consumer({ ...calling, credentials: { accessKey: "reader" } }),
    intruder: consumer({ ...calling, credentials: { accessKey: "storefront", forged: true } }),
    stranger: consumer(calling),
    orders: provider({
      instances: 2,
      serviceTime: { exponential: { mean: "5ms" } },
      guard: {
        token: true,
        accessKeys: ["storefront", "reader"],
        allow: [
          { callers: ["storefront"], methods: ["Do"] },
          { callers: ["reader"], methods: ["Stream"] },
        ],
      },
    }),
  },
  load: [
    poisson("80/s").on("storefront").for("5s"),
    poisson("45/s").on("reader").for("5s"),
    poisson("45/s").on("intruder").for("5s"),
    poisson("45/s").on("stranger").for("5s"),
  ],
  expect: [
    successRate("orders").from("storefront").atLeast("99%").detects("86%"),
    callsEnd("orders", "PERMISSION_DENIED").from("reader").atLeast("99%").detects("75%"),
    callsEnd("orders", "UNAUTHENTICATED").from("intruder").atLeast("99%").detects("75%"),
    callsEnd("orders", "UNAUTHENTICATED").from("stranger").atLeast("99%").detects("75%"),
  ],
  agreement: { share: 0.03, success: 0.03, p99: "25%", recovery: "20%" },
});
