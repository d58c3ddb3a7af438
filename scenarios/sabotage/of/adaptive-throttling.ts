import { failingCalls, looseThrottles, type SabotagedCheck, second, withoutGuard } from "../kit.ts";

export default [
  {
    check: "attempts-per-call",
    gross: () => withoutGuard("throttle"),
    mild: () => looseThrottles(3.2),
  },
  {
    check: "success-rate 1s..4s",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.92, { fromUs: second, toUs: 4 * second }),
  },
  {
    check: "success-rate 5s..7s",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 5 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.6, { fromUs: 5 * second }),
  },
] satisfies readonly SabotagedCheck[];
