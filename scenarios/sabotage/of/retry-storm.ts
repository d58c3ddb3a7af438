import { brokenReplies, onlyOn, second, wastefulAttempts, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "attempts-per-call of orders",
    gross: (seed) => onlyOn("storefront", wastefulAttempts(seed, "failover", 1)),
    mild: (seed) => onlyOn("storefront", wastefulAttempts(seed, "failover", 0.58)),
  },
  {
    check: "attempts-per-call of payments",
    gross: (seed) => onlyOn("orders", wastefulAttempts(seed, "failover", 1)),
    mild: (seed) => onlyOn("orders", wastefulAttempts(seed, "failover", 0.58)),
  },
  {
    check: "recovery",
    gross: (seed) => brokenReplies(seed, "orders", 1, { fromUs: 4.5 * second }),
    mild: (seed) => brokenReplies(seed, "orders", 0.5, { fromUs: 4.5 * second, toUs: 5.5 * second }),
  },
] satisfies readonly SabotagedCheck[];
