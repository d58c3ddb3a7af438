import { atomicity, bank, constant, consumer, scenario, successRate, traces } from "../harness/scenario/builders.ts";

const guard = {
  token: true as const,
  accessKeys: ["order"],
  allow: [{ callers: ["order"], methods: ["Reserve"] }],
};

export default scenario({
  name: "metadata-arrives",
  title: {
    en: "Transaction, trace and signature travel with the same call",
    zh: "事务、调用链与签名随同一次调用到达",
  },
  explanation: {
    en: "When order calls account and stock, three parts of the runtime add to the call's metadata, and none knows of the others: the transaction its xid, the tracer its traceparent, the guard's client a token and a signature. All of it has to arrive. Without the xid nothing is reserved (FAILED_PRECONDITION); without the signature nobody gets in (UNAUTHENTICATED); without the traceparent each call would be a trace of its own. Here every order succeeds, each is done whole, and every call is one connected trace from the buyer down to account. (Upstream: seata-go's gRPC client interceptor, which put the xid in the place of all metadata that was there.)",
    zh: "order 调用 account 和 stock 时，运行时有三个部分往这次调用的元数据里添东西，彼此互不知情：事务添 xid，追踪添 traceparent，守卫的客户端添令牌和签名。三样都必须到达。没有 xid 就什么也不预留（FAILED_PRECONDITION）；没有签名谁也进不来（UNAUTHENTICATED）；没有 traceparent，每次调用就各成一条调用链。这里每个订单都成功，都完整地做完，每次调用从买家到 account 都是一条连通的调用链。（上游问题：seata-go 的 gRPC 客户端拦截器用 xid 替换掉了原有的全部元数据。）",
  },
  tags: ["transactions", "security"],
  tracing: { sample: 1 },
  fleet: {
    buyer: consumer({ instances: 1, calls: "order", timeout: "3s", retries: 0, key: { name: "user", count: 100 } }),
    ...bank({ reserve: { credentials: { accessKey: "order" } }, account: { guard }, stock: { guard } }),
  },
  load: constant("40/s").on("buyer").for("5s"),
  expect: [
    successRate("order").atLeast("99%").detects("84%"),
    atomicity("order").detects("8%"),
    traces("account").detects("8%"),
  ],
  agreement: { success: 0.03 },
});
