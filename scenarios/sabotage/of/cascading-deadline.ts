import { refusedTasks, deafTasks, failingCalls, type SabotagedCheck, second } from "../kit.ts";

export default [
  {
    check: "abandoned-work",
    gross: (seed) => deafTasks(seed, "ledger", 1),
    mild: (seed) => deafTasks(seed, "ledger", 0.2),
  },
  {
    check: "task-fates of payments",
    gross: (seed) => refusedTasks(seed, "payments", 0.5, { toUs: 1 * second }),
    mild: (seed) => refusedTasks(seed, "payments", 0.02, { toUs: 5 * second }),
  },
  {
    check: "task-fates of orders",
    gross: (seed) => refusedTasks(seed, "orders", 0.5, { toUs: 1 * second }),
    mild: (seed) => refusedTasks(seed, "orders", 0.02, { toUs: 5 * second }),
  },
  {
    check: "recovery",
    gross: (seed) => failingCalls(seed, "orders", 0.4, { fromUs: 5.5 * second, toUs: 7 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.5, { fromUs: 5.5 * second, toUs: 6.5 * second }),
  },
] satisfies readonly SabotagedCheck[];
