import { brokenReplies, onlyOn, second, slowCalls, strayStrategies, type SabotagedCheck } from "../kit.ts";

/** When latency isn't judged any more: what fails counts as slow. */
const late = { fromUs: 2.5 * second };

export default [
  {
    // 16 % of all calls.
    check: "success-rate",
    gross: (seed) => onlyOn("shop", brokenReplies(seed, "quotes", 1, late)),
    mild: (seed) => onlyOn("shop", brokenReplies(seed, "quotes", (0.16 * 5) / 2.5, late)),
  },
  {
    // Failover tries again where a call fails, not where it is slow.
    check: "latency",
    gross: (seed) => strayStrategies(seed, "forking", "failover", 1),
    mild: (seed) => onlyOn("shop", slowCalls(seed, "quotes", 200_000, 0.22)),
  },
] satisfies readonly SabotagedCheck[];
