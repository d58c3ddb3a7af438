import { forgetfulFence, givenBackConfirms, leakyReservations, stuckBranches, type SabotagedCheck } from "../kit.ts";

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
    // Where all were stuck, there would be none to judge the others by.
    gross: (seed) => stuckBranches(seed, "stock", 0.3),
    mild: (seed) => stuckBranches(seed, "stock", 0.08),
  },
  {
    check: "tcc-fence",
    alongWith: ["conservation"],
    gross: (seed) => forgetfulFence(seed, "account", 1),
    mild: (seed) => forgetfulFence(seed, "account", 0.25),
  },
] satisfies readonly SabotagedCheck[];
