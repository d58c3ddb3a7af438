import { deafToTraces, failingCalls, lostSpans, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.5),
    mild: (seed) => failingCalls(seed, "orders", 0.1),
  },
  {
    check: "traces",
    gross: () => deafToTraces("payments"),
    mild: (seed) => lostSpans(seed, "orders", 0.02),
  },
] satisfies readonly SabotagedCheck[];
