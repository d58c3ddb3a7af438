import { failingCalls, type SabotagedCheck, second, wastefulAttempts, withoutGuard } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "attempts-per-call",
    // Every third call goes on trying the dead instance first.
    gross: () => withoutGuard("outlier"),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.2),
  },
] satisfies readonly SabotagedCheck[];
