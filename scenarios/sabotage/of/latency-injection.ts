import { failingCalls, type SabotagedCheck, second, slowCalls, swappedBalancer, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 2 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 2, { toUs: 2 * second }),
  },
  {
    check: "latency",
    gross: () => swappedBalancer("p2c", "weighted-random"),
    // The slow link itself makes 6 % of the calls slow.
    mild: (seed) => slowCalls(seed, "orders", 150_000, 0.32 - 0.06, { fromUs: 2 * second, toUs: 5 * second }),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
  {
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 200_000, 1, { fromUs: 5.5 * second }),
    mild: (seed) => slowCalls(seed, "orders", 200_000, 0.5, { fromUs: 5.5 * second, toUs: 6.5 * second }),
  },
] satisfies readonly SabotagedCheck[];
