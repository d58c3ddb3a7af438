import { failingCalls, registeredOnce, type SabotagedCheck, second, unfairBalancer, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    // It takes an expired session for a disconnection.
    check: "share",
    gross: () => registeredOnce("orders/1"),
    mild: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/0", 1.5 / 3),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failover", 1),
    mild: (seed) => wastefulAttempts(seed, "failover", 0.25),
  },
] satisfies readonly SabotagedCheck[];
