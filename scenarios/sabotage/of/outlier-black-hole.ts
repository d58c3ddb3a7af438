import { failingCalls, type SabotagedCheck, withoutGuard } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: () => withoutGuard("outlier"),
    mild: (seed) => failingCalls(seed, "orders", 0.1),
  },
] satisfies readonly SabotagedCheck[];
