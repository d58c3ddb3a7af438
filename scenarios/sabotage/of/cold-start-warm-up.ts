import { failingCalls, type SabotagedCheck, swappedBalancer, unfairBalancer } from "../kit.ts";

export default [
  {
    check: "share",
    gross: () => swappedBalancer("weighted-random", "round-robin"),
    mild: (seed) => unfairBalancer(seed, "weighted-random", "orders/3", 10 / 301),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
] satisfies readonly SabotagedCheck[];
