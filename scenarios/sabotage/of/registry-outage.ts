import { failingCalls, forgettingDirectories, type SabotagedCheck, unfairBalancer, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: () => forgettingDirectories(),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "share",
    gross: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/1", 0.9),
    mild: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/1", 0.5),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
] satisfies readonly SabotagedCheck[];
