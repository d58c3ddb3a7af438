import {
  forgetfulFence,
  leakyReservations,
  stuckAfterRestart,
  stuckBranches,
  together,
  type SabotagedCheck,
} from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "nothing-left",
    // Where all were stuck, there would be none to judge the order by.
    gross: (seed) => stuckBranches(seed, "stock", 0.25),
    mild: (seed) => stuckBranches(seed, "stock", 0.1),
    reported: { "seata#2824": (seed) => stuckAfterRestart(seed, "order", 0.2) },
  },
  {
    check: "saga-steps",
    alongWith: ["conservation"],
    gross: (seed) => together(forgetfulFence(seed, "account", 1), forgetfulFence(seed, "stock", 1)),
    mild: (seed) => together(forgetfulFence(seed, "account", 0.4), forgetfulFence(seed, "stock", 0.4)),
  },
] satisfies readonly SabotagedCheck[];
