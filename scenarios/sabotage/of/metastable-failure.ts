import { brokenReplies, second, withoutBudget, type SabotagedCheck } from "../kit.ts";

export default [
  {
    // Without the budget the fleet never recovers by itself.
    check: "recovery",
    gross: () => withoutBudget("grpc"),
    mild: (seed) => brokenReplies(seed, "orders", 0.5, { fromUs: 5.5 * second, toUs: 6.5 * second }),
  },
] satisfies readonly SabotagedCheck[];
