import {
  denyingOrders,
  flatteringOrders,
  givenBackConfirms,
  keptUndoLogs,
  leakyReservations,
  repeatedOrders,
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
    more: {
      "an order that tells everybody that it is done": (seed) => flatteringOrders(seed, 1),
      // Three in ten are given up: 27 in 100 of these are 8 in 100 of all.
      "one that tells so some of those for whom it isn't": (seed) => flatteringOrders(seed, 0.27),
      "one that is done twice": (seed) => repeatedOrders(seed, 0.08),
      "one that is done, and says that it was given up": (seed) => denyingOrders(seed, 0.08),
    },
  },
  {
    check: "nothing-left",
    gross: (seed) => keptUndoLogs(seed, "stock", 1),
    mild: (seed) => keptUndoLogs(seed, "account", 0.08),
  },
] satisfies readonly SabotagedCheck[];
