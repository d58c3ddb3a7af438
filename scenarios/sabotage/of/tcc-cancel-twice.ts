import { deadlockedCancels, leakyReservations, strictFence, stuckBranches, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "nothing-left",
    // Where all were stuck, there would be none to judge the others by.
    gross: (seed) => stuckBranches(seed, "stock", 0.3),
    mild: (seed) => stuckBranches(seed, "stock", 0.08),
  },
  {
    check: "tcc-fence",
    gross: (seed) => strictFence(seed, "account", 1),
    mild: (seed) => strictFence(seed, "account", 0.4),
    reported: { "seata#6679": (seed) => deadlockedCancels(seed, "account", 1) },
  },
] satisfies readonly SabotagedCheck[];
