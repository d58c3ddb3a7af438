import {
  flatteringOrders,
  givenBackConfirms,
  leakyReservations,
  misdirectedReturns,
  stuckBranches,
  swappedCompensations,
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
    alongWith: ["conservation"],
    gross: (seed) => givenBackConfirms(seed, "stock", 1),
    mild: (seed) => givenBackConfirms(seed, "stock", 0.08),
    more: {
      "an order that tells everybody that it is done": (seed) => flatteringOrders(seed, 1),
      "an account that gives back to others": (seed) => misdirectedReturns(seed, "account", 0.08),
    },
  },
  {
    check: "nothing-left",
    // Only what is compensated can be stuck, not quite half of all; were all of it, there would be none to judge the order by.
    gross: (seed) => stuckBranches(seed, "stock", 0.25),
    mild: (seed) => stuckBranches(seed, "stock", 0.18),
  },
  {
    check: "saga-steps",
    gross: (seed) => swappedCompensations(seed, 1),
    mild: (seed) => swappedCompensations(seed, 0.2),
  },
] satisfies readonly SabotagedCheck[];
