import { forgetfulFence, givenBackConfirms, leakyReservations, strictFence, type SabotagedCheck } from "../kit.ts";

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
    check: "tcc-fence",
    alongWith: ["conservation"],
    gross: (seed) => forgetfulFence(seed, "account", 1),
    mild: (seed) => forgetfulFence(seed, "account", 0.3),
    reported: { "seata-go#685": (seed) => strictFence(seed, "account", 1) },
  },
] satisfies readonly SabotagedCheck[];
