import { failingCalls, lostAccesses, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "access-log",
    gross: (seed) => lostAccesses(seed, "orders", 1),
    mild: (seed) => lostAccesses(seed, "orders", 0.03),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.08),
  },
] satisfies readonly SabotagedCheck[];
