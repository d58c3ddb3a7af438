import { failingCalls, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 2 * second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07),
  },
  {
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failfast", 1),
    mild: (seed) => wastefulAttempts(seed, "failfast", 0.5),
  },
] satisfies readonly SabotagedCheck[];
