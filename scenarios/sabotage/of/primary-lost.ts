import { brokenReplies, second, strayStrategies, type SabotagedCheck } from "../kit.ts";

const early = { toUs: 1.4 * second };
const late = { fromUs: 2.6 * second };

/** A share × 1.6 is impossible for all of the calls; ÷ 1.6 leaves 5/8, and of what strays a third, or half, comes back by chance. */
export default [
  {
    check: "share 0s..1400ms",
    gross: (seed) => strayStrategies(seed, "available", "failfast", 1, early),
    mild: (seed) => strayStrategies(seed, "available", "failfast", 9 / 16, early),
  },
  {
    check: "share 2600ms..4s",
    gross: (seed) => strayStrategies(seed, "available", "failfast", 1, late),
    mild: (seed) => strayStrategies(seed, "available", "failfast", 6 / 8, late),
  },
  {
    check: "success-rate",
    gross: (seed) => brokenReplies(seed, "ledger", 1),
    mild: (seed) => brokenReplies(seed, "ledger", 0.2),
  },
] satisfies readonly SabotagedCheck[];
