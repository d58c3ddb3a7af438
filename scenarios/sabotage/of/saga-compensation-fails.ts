import { leakyReservations, swallowedRefusals, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "saga-steps",
    gross: (seed) => swallowedRefusals(seed, 1),
    mild: (seed) => swallowedRefusals(seed, 0.25),
  },
] satisfies readonly SabotagedCheck[];
