import { failingCalls, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "attempts-per-call",
    // The frozen instance alone costs 0.05 attempts a call.
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.6 - 0.05),
  },
] satisfies readonly SabotagedCheck[];
