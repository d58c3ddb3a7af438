import {
  brokenReplies,
  onlyOn,
  second,
  silentLosses,
  strayStrategies,
  swappedCluster,
  type SabotagedCheck,
} from "../kit.ts";

const early = { toUs: 1.9 * second };

export default [
  {
    check: "success-rate from audit",
    gross: (seed) => onlyOn("audit", brokenReplies(seed, "orders", 1)),
    mild: (seed) => onlyOn("audit", brokenReplies(seed, "orders", 0.18)),
  },
  {
    // Without a defect the dead instance costs a fifth of the calls.
    check: "delivery from audit",
    gross: (seed) => silentLosses(seed, "failsafe", 1),
    mild: (seed) => silentLosses(seed, "failsafe", 0.52),
  },
  {
    check: "delivery from notices",
    gross: (seed) => silentLosses(seed, "failback", 1),
    mild: (seed) => silentLosses(seed, "failback", 0.2),
  },
  {
    check: "success-rate from quotes",
    gross: (seed) => onlyOn("quotes", brokenReplies(seed, "orders", 1)),
    mild: (seed) => onlyOn("quotes", brokenReplies(seed, "orders", 0.2)),
  },
  {
    check: "delivery from cache 0s..1900ms",
    gross: () => swappedCluster("broadcast", "failover"),
    mild: (seed) => silentLosses(seed, "broadcast", 0.65, early),
  },
  {
    check: "share",
    gross: (seed) => strayStrategies(seed, "available", "failfast", 1, early),
    mild: (seed) => strayStrategies(seed, "available", "failfast", 2 / 3, early),
  },
  {
    check: "success-rate from report",
    gross: (seed) => onlyOn("report", brokenReplies(seed, "orders", 1)),
    mild: (seed) => onlyOn("report", brokenReplies(seed, "orders", 0.35)),
  },
] satisfies readonly SabotagedCheck[];
