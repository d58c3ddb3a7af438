import { failingCalls, leakyAdmission, type SabotagedCheck, second, withoutAdmission } from "../kit.ts";

const calm = { fromUs: 0, toUs: 1.5 * second };
const crowd = { fromUs: 1.5 * second, toUs: 3.5 * second };

export default [
  {
    check: "calls-end",
    gross: () => withoutAdmission("rateLimit"),
    // Of nearly two thirds that should be refused, one third is.
    mild: (seed) => leakyAdmission(seed, "rateLimit", 0.48),
  },
  {
    check: "success-rate 0s..1500ms",
    gross: (seed) => failingCalls(seed, "orders", 1, calm, "RESOURCE_EXHAUSTED"),
    mild: (seed) => failingCalls(seed, "orders", 0.4, calm, "RESOURCE_EXHAUSTED"),
  },
  {
    check: "success-rate 1500ms..3500ms",
    // Refused as if the limit had done it: the other check sees nothing wrong.
    gross: (seed) => failingCalls(seed, "orders", 1, crowd, "RESOURCE_EXHAUSTED"),
    mild: (seed) => failingCalls(seed, "orders", 0.92, crowd, "RESOURCE_EXHAUSTED"),
  },
  {
    check: "recovery",
    gross: (seed) => failingCalls(seed, "orders", 0.4, { fromUs: 4 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.5, { fromUs: 4 * second, toUs: 5 * second }),
  },
] satisfies readonly SabotagedCheck[];
