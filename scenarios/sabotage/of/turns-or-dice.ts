import { type SabotagedCheck, slowCalls, swappedBalancer, unfairBalancer } from "../kit.ts";

export default [
  {
    check: "latency",
    gross: () => swappedBalancer("round-robin", "uniform-random"),
    mild: (seed) => slowCalls(seed, "orders", 120_000, 0.35),
  },
  {
    check: "share",
    gross: () => swappedBalancer("uniform-random", "weighted-random"),
    mild: (seed) => unfairBalancer(seed, "uniform-random", "stock/0", 2.1 / 4),
  },
] satisfies readonly SabotagedCheck[];
