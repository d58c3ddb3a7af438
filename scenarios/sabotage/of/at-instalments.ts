import { givenBackConfirms, leakyReservations, swappedUndoLogs, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "stock", 0.08),
  },
  {
    check: "atomicity",
    gross: (seed) => givenBackConfirms(seed, "stock", 1),
    mild: (seed) => givenBackConfirms(seed, "stock", 0.08),
  },
  {
    // As it was reported. Half of the orders are undone: 16 in 100 of these are 8 in 100 of all.
    check: "nothing-left",
    gross: (seed) => swappedUndoLogs(seed, "account", 1),
    mild: (seed) => swappedUndoLogs(seed, "account", 0.16),
  },
] satisfies readonly SabotagedCheck[];
