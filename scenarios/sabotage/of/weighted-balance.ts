import { failingCalls, type SabotagedCheck, swappedBalancer, unfairBalancer } from "../kit.ts";

export default [
  {
    check: "share",
    gross: () => swappedBalancer("smooth-weighted-round-robin", "round-robin"),
    mild: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/0", 2 / 6),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
] satisfies readonly SabotagedCheck[];
