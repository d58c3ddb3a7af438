import { brokenReplies, silentLosses, strayStrategies, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => brokenReplies(seed, "notices", 1),
    mild: (seed) => brokenReplies(seed, "notices", 0.16),
  },
  {
    // Those that the dead instance had, a fourth of the window's, aren't made again.
    check: "delivery",
    gross: (seed) => strayStrategies(seed, "failback", "failsafe", 1),
    mild: (seed) => silentLosses(seed, "failback", 0.18),
  },
] satisfies readonly SabotagedCheck[];
