import { brokenReplies, failingCalls, second, strayStrategies, type SabotagedCheck } from "../kit.ts";

const early = { toUs: 1.4 * second };
const dead = { fromUs: 1.6 * second };

export default [
  {
    // Failover asks one of them, and says that all is well.
    check: "delivery 0s..1400ms",
    gross: (seed) => strayStrategies(seed, "broadcast", "failover", 1, early),
    mild: (seed) => strayStrategies(seed, "broadcast", "failover", 0.5, early),
  },
  {
    check: "success-rate",
    gross: (seed) => brokenReplies(seed, "caches", 1, early),
    mild: (seed) => brokenReplies(seed, "caches", 0.5, early),
  },
  {
    check: "calls-end",
    gross: (seed) => strayStrategies(seed, "broadcast", "failover", 1, dead),
    mild: (seed) => strayStrategies(seed, "broadcast", "failover", 0.35, dead),
  },
  {
    // It fails as the others do, but nobody hears of it.
    check: "delivery 1600ms..4s",
    gross: (seed) => failingCalls(seed, "caches", 1, dead),
    mild: (seed) => failingCalls(seed, "caches", 0.35, dead),
  },
] satisfies readonly SabotagedCheck[];
