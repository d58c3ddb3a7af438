import { failingCalls, leakyBreaker, type SabotagedCheck, second } from "../kit.ts";

export default [
  {
    check: "open-breaker",
    gross: (seed) => leakyBreaker(seed, 1),
    mild: (seed) => leakyBreaker(seed, 0.1),
  },
  {
    // Outside of the breaker, so that it doesn't see them.
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.9 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.2, { toUs: 1.9 * second }),
  },
  {
    check: "recovery",
    gross: (seed) => failingCalls(seed, "orders", 0.4, { fromUs: 5.6 * second, toUs: 7 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.5, { fromUs: 5.6 * second, toUs: 6.6 * second }),
  },
] satisfies readonly SabotagedCheck[];
