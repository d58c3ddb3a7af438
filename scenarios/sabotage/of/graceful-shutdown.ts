import { failingCalls, lateRemovals, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    // The news that it leaves takes too long: its callers meet a closed door for a quarter of a second.
    check: "graceful-stop",
    gross: () => lateRemovals(3.75 * second),
    mild: (seed) => failingCalls(seed, "orders", 0.05, { fromUs: 3 * second, toUs: 4.5 * second }),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 5 * second }),
    mild: (seed) => failingCalls(seed, "orders", (0.07 * 8) / 3, { fromUs: 5 * second }),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failfast", 0.8),
    mild: (seed) => wastefulAttempts(seed, "failfast", 0.5),
  },
] satisfies readonly SabotagedCheck[];
