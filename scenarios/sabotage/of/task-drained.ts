import { cancelledTasks, failingCalls, type SabotagedCheck, second } from "../kit.ts";

export default [
  {
    check: "task-fates",
    gross: (seed) => cancelledTasks(seed, "orders", 1, { toUs: 1 * second }),
    mild: (seed) => cancelledTasks(seed, "orders", (0.02 * 8) / 2.5, { toUs: 2.5 * second }),
  },
  {
    check: "graceful-stop",
    gross: (seed) => failingCalls(seed, "orders", 1, { fromUs: 3 * second, toUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.07, { fromUs: 3 * second, toUs: 4.5 * second }),
  },
] satisfies readonly SabotagedCheck[];
