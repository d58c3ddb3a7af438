import { keptUndoItems, keptUndoLogs, leakyReservations, unkeptLocks, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "nothing-left",
    gross: (seed) => keptUndoLogs(seed, "stock", 1),
    mild: (seed) => keptUndoLogs(seed, "account", 0.08),
    reported: { "seata#1098": () => keptUndoItems("account") },
  },
  {
    // As it was reported: they count on what others write over.
    check: "isolation",
    gross: (seed) => unkeptLocks(seed, "account", 1),
    mild: (seed) => unkeptLocks(seed, "account", 0.5),
  },
] satisfies readonly SabotagedCheck[];
