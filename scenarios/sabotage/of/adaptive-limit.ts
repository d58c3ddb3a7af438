import { type SabotagedCheck, second, slowCalls, withoutAdmission } from "../kit.ts";

export default [
  {
    check: "latency",
    gross: () => withoutAdmission("concurrencyLimit"),
    // Of every call; half of them are refused anyway.
    mild: (seed) => slowCalls(seed, "orders", 550_000, 0.78, { fromUs: 2 * second, toUs: 5 * second }),
  },
  {
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 550_000, 0.4, { fromUs: 6 * second }),
    mild: (seed) => slowCalls(seed, "orders", 550_000, 0.5, { fromUs: 6 * second, toUs: 7 * second }),
  },
] satisfies readonly SabotagedCheck[];
