import { addressKeys, leakyReservations, unlockedRemovals, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "stock", 0.08),
  },
  {
    // Both as they were reported.
    check: "isolation",
    gross: (seed) => addressKeys(seed, "stock"),
    mild: (seed) => unlockedRemovals(seed, "account", 0.5),
  },
] satisfies readonly SabotagedCheck[];
