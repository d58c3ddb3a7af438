import { RpcError, service } from "flyball/service";

/** Takes orders: asks for the price, works for a while, and counts what is left. */
export default service({
  start({ work, random, callee }, { stock = 1_000_000 }) {
    const prices = callee("prices");
    // Each instance has its own, and begins anew when it is started again: what has to last belongs on `disk`.
    let left = Number(stock);
    return {
      async do({ key }, call) {
        const { payload: price } = await prices.do({ key }, { parent: call });
        await work(2_000 + random.below(2_000));
        if (left === 0) throw new RpcError("sold out", { code: "FAILED_PRECONDITION" });
        left--;
        return { payload: `${price}, ${left} left` };
      },
    };
  },
});
