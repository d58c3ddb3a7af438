import {
  garbledLooks,
  givenBackConfirms,
  heedlessLooks,
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
    gross: (seed) => givenBackConfirms(seed, "stock", 1),
    mild: (seed) => givenBackConfirms(seed, "stock", 0.08),
  },
  {
    check: "nothing-left",
    gross: (seed) => keptUndoLogs(seed, "stock", 1),
    mild: (seed) => keptUndoLogs(seed, "account", 0.08),
  },
  {
    check: "isolation",
    gross: (seed) => garbledLooks(seed, "stock", 1),
    mild: (seed) => heedlessLooks(seed, "account", 0.5),
  },
] satisfies readonly SabotagedCheck[];
