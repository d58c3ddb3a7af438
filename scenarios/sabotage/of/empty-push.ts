import { failingCalls, gullibleDirectories, type SabotagedCheck, wastefulAttempts } from "../kit.ts";

export default [
  {
    // The empty list is believed.
    check: "success-rate",
    gross: () => gullibleDirectories(),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
] satisfies readonly SabotagedCheck[];
