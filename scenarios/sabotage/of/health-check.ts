import { failingCalls, type SabotagedCheck, second, withoutGuard } from "../kit.ts";

export default [
  {
    // Nobody listens to what the instance says.
    check: "graceful-stop",
    gross: () => withoutGuard("healthCheck"),
    mild: (seed) => failingCalls(seed, "orders", 0.05, { fromUs: 1.5 * second, toUs: 3 * second }),
  },
] satisfies readonly SabotagedCheck[];
