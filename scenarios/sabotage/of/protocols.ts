import { failingCalls, unfairBalancer, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "share",
    gross: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/1", 0.8),
    mild: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/1", 0.45),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
] satisfies readonly SabotagedCheck[];
