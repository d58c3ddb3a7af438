import { failingCalls, moduloHash, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "stickiness from storefront",
    gross: (seed) => moduloHash(seed, "consistent-hash", 1),
    // Half of the keys that go by it move when a fourth instance leaves.
    mild: (seed) => moduloHash(seed, "consistent-hash", 0.1),
  },
  {
    check: "stickiness from kiosk 3s..8s",
    gross: (seed) => moduloHash(seed, "jump-hash", 1),
    mild: (seed) => moduloHash(seed, "jump-hash", 0.1),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
] satisfies readonly SabotagedCheck[];
