import { deafTasks, refusedTasks, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "abandoned-work",
    gross: (seed) => deafTasks(seed, "payments", 1),
    mild: (seed) => deafTasks(seed, "payments", 0.05),
  },
  {
    check: "task-fates",
    gross: (seed) => refusedTasks(seed, "orders", 0.1),
    mild: (seed) => refusedTasks(seed, "orders", 0.02),
  },
] satisfies readonly SabotagedCheck[];
