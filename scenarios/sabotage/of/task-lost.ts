import { cancelledTasks, failingCalls, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "task-fates",
    gross: (seed) => cancelledTasks(seed, "orders", 0.2, { toUs: 0.5 * second }),
    mild: (seed) => cancelledTasks(seed, "orders", 0.02),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 2 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.08),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.6),
  },
] satisfies readonly SabotagedCheck[];
