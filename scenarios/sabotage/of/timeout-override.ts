import { failingCalls, second, slowCalls, strayingCalls, type SabotagedCheck } from "../kit.ts";

const hurried = { fromUs: 2.5 * second, toUs: 5 * second };
const without = { fromUs: 5.5 * second };

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 2 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.06 * 8) / 2, { toUs: 2 * second }),
  },
  {
    check: "latency",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, hurried),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.32, hurried),
  },
  {
    check: "share",
    gross: (seed) => strayingCalls(seed, { to: "orders/0", share: 1, when: without }),
    mild: (seed) => strayingCalls(seed, { to: "orders/0", share: (0.8 - 0.5) / 0.5, when: without }),
  },
] satisfies readonly SabotagedCheck[];
