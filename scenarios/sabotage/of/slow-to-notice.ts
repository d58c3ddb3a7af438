import { failingCalls, lateRemovals, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    // Before the kill: 5 % of all calls.
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 2 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.05 * 28) / 2, { toUs: 2 * second }),
  },
  {
    check: "no-dead-calls",
    gross: () => lateRemovals(30 * second),
    // Death at 2 s, 22 s allowed, and 1 s more.
    mild: () => lateRemovals(25 * second),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    // The dead instance alone costs 0.08 attempts a call.
    mild: (seed) => wastefulAttempts(seed, "failover", 0.5 - 0.08),
  },
] satisfies readonly SabotagedCheck[];
