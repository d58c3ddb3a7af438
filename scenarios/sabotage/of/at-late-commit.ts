import {
  acceptedLateBranches,
  forgottenUndoFences,
  givenBackConfirms,
  keptUndoLogs,
  leakyReservations,
  type SabotagedCheck,
} from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "atomicity",
    // As it was reported: what was rolled back before is committed all the same.
    gross: (seed) => forgottenUndoFences(seed, "account", 1),
    mild: (seed) => givenBackConfirms(seed, "stock", 0.08),
  },
  {
    check: "nothing-left",
    gross: (seed) => keptUndoLogs(seed, "stock", 1),
    mild: (seed) => keptUndoLogs(seed, "stock", 0.08),
    reported: { "seata#4969": () => acceptedLateBranches("account") },
  },
] satisfies readonly SabotagedCheck[];
