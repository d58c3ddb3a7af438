import { failingCalls, type SabotagedCheck, second, slowCalls, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 1.5, { toUs: 1.5 * second }),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    // The silent instance alone costs 0.04 attempts a call.
    mild: (seed) => wastefulAttempts(seed, "failover", 0.6 - 0.04),
  },
  {
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, { fromUs: 4.5 * second }),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.5, { fromUs: 4.5 * second, toUs: 5.5 * second }),
  },
] satisfies readonly SabotagedCheck[];
