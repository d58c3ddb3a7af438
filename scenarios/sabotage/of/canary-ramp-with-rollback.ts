import { failingCalls, replacedRouter, second, strayingCalls, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "rollback",
    gross: () => deafToZero(),
    mild: (seed) => strayingCalls(seed, { to: "orders/2", share: 0.02, when: { fromUs: 4.5 * second } }),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
] satisfies readonly SabotagedCheck[];

/** The canary router takes 0 % for 20 %. */
const deafToZero = () =>
  replacedRouter("canary", (router) => ({
    ...router,
    parse: (content) => router.parse(content.replace("percent: 0\n", "percent: 20\n")),
  }));
