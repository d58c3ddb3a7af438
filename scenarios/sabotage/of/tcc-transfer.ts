import {
  brokenReplies,
  givenBackConfirms,
  leakyReservations,
  overdrafts,
  stuckBranches,
  type SabotagedCheck,
} from "../kit.ts";

export default [
  {
    check: "success-rate",
    // For their callers: the transactions are whole. One in five is given up anyway.
    gross: (seed) => brokenReplies(seed, "order", 1),
    mild: (seed) => brokenReplies(seed, "order", 0.75),
  },
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
    more: { "an account that lends what isn't there": (seed) => overdrafts(seed, "account", 0.08) },
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
] satisfies readonly SabotagedCheck[];
