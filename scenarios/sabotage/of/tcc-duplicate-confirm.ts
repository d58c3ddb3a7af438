import { forgetfulFence, leakyReservations, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "conservation",
    gross: (seed) => leakyReservations(seed, "stock", 1),
    mild: (seed) => leakyReservations(seed, "account", 0.08),
  },
  {
    check: "tcc-fence",
    alongWith: ["conservation"],
    gross: (seed) => forgetfulFence(seed, "account", 1),
    mild: (seed) => forgetfulFence(seed, "account", 0.3),
  },
] satisfies readonly SabotagedCheck[];
