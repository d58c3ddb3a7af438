import { impatientHedges, slowCalls, swappedCluster, type SabotagedCheck } from "../kit.ts";

export default [
  {
    // Without hedges one call of ten is slow by itself.
    check: "latency",
    gross: () => swappedCluster("hedging", "failfast"),
    mild: (seed) => slowCalls(seed, "orders", 100_000, 0.08),
  },
  {
    // A patient call makes 1.24 attempts, an impatient one 3.
    check: "attempts-per-call",
    gross: (seed) => impatientHedges(seed, 1),
    mild: (seed) => impatientHedges(seed, 0.24),
  },
] satisfies readonly SabotagedCheck[];
