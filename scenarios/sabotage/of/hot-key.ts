import { failingCalls, type SabotagedCheck, slowCalls, swappedBalancer } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.09),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "latency",
    gross: () => swappedBalancer("consistent-hash-bounded", "consistent-hash"),
    mild: (seed) => slowCalls(seed, "orders", 250_000, 0.25),
  },
] satisfies readonly SabotagedCheck[];
