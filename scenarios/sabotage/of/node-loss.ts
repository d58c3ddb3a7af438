import { failingCalls, lateRemovals, type SabotagedCheck, second, slowCalls, wastefulAttempts } from "../kit.ts";

export default [
  {
    // 7 % of all calls, before the kill: afterwards they would break the recovery as well.
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 1.5, { toUs: 1.5 * second }),
  },
  {
    check: "no-dead-calls",
    gross: () => lateRemovals(20 * second),
    // Death at 1.5 s, 3 s allowed, and 1 s more.
    mild: () => lateRemovals(5.5 * second),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    // The dead instance alone costs 0.07 attempts a call.
    mild: (seed) => wastefulAttempts(seed, "failover", 0.6 - 0.07),
  },
  {
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, { fromUs: 2 * second }),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.5, { fromUs: 2 * second, toUs: 3 * second }),
  },
] satisfies readonly SabotagedCheck[];
