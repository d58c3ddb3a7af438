import { failingCalls, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "attempts-per-call",
    // Those before the ejection, and after it, cost 0.02 attempts a call.
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.35 - 0.02),
  },
] satisfies readonly SabotagedCheck[];
