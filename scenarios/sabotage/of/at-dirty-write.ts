import {
  heedlessLooks,
  leakyReservations,
  unlockedValidation,
  withoutValidation,
  type SabotagedCheck,
} from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "isolation",
    gross: (seed) => heedlessLooks(seed, "account", 1),
    mild: (seed) => heedlessLooks(seed, "account", 0.4),
    reported: {
      "seata#2848": () => withoutValidation("account"),
      // Whoever writes between validation and undo is overwritten.
      "seata PR#2918": () => unlockedValidation("account", 30_000),
    },
  },
] satisfies readonly SabotagedCheck[];
