import {
  addressKeys,
  doubledRows,
  leakyReservations,
  lostRows,
  unlockedRemovals,
  type SabotagedCheck,
} from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "stock", 0.08),
    more: {
      "a rollback that doesn't bring back the row that was replaced": () => lostRows("account"),
      "a rollback that leaves the row which replaced it": () => doubledRows("account"),
    },
  },
  {
    check: "isolation",
    // Orders that are locked out leave it too few transactions, now and then.
    alongWith: ["conservation"],
    gross: (seed) => addressKeys(seed, "stock", 1),
    mild: (seed) => addressKeys(seed, "stock", 0.5),
    reported: {
      "seata#7738": (seed) => addressKeys(seed, "stock", 1),
      // It may leave two rows in the place of one, too.
      "seata-go#1187": (seed) => unlockedRemovals(seed, "account", 0.5),
    },
  },
] satisfies readonly SabotagedCheck[];
