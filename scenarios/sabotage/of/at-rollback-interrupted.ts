import {
  brokenReplies,
  forgottenRollbacks,
  givenBackConfirms,
  keptUndoLogs,
  leakedXids,
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
    gross: (seed) => givenBackConfirms(seed, "stock", 1),
    mild: (seed) => givenBackConfirms(seed, "stock", 0.08),
  },
  {
    check: "nothing-left",
    gross: (seed) => keptUndoLogs(seed, "stock", 1),
    mild: (seed) => keptUndoLogs(seed, "account", 0.08),
    reported: { "seata#1180": () => forgottenRollbacks() },
  },
  {
    check: "success-rate",
    // Four in ten are given up anyway.
    gross: (seed) => brokenReplies(seed, "order", 1),
    mild: (seed) => brokenReplies(seed, "order", 0.92),
    reported: { "seata#1180": (seed) => leakedXids(seed, 1) },
  },
] satisfies readonly SabotagedCheck[];
