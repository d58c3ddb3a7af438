import { brokenReplies, silentLosses, wastefulAttempts, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => brokenReplies(seed, "audit", 1),
    mild: (seed) => brokenReplies(seed, "audit", 0.16),
  },
  {
    // Without a defect the dead instance costs 16 % of the calls.
    check: "delivery",
    gross: (seed) => silentLosses(seed, "failsafe", 1),
    mild: (seed) => silentLosses(seed, "failsafe", 0.47),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failsafe", 1),
    mild: (seed) => wastefulAttempts(seed, "failsafe", 0.2),
  },
] satisfies readonly SabotagedCheck[];
