import { service } from "flyball/service";

/** Says what something costs. */
export default service({
  start: ({ work }) => ({
    async do() {
      await work(1_000);
      return { payload: "9.99" };
    },
  }),
});
