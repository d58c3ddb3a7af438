import { leakyReservations, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.05),
  },
] satisfies readonly SabotagedCheck[];
