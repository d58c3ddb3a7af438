import { type SabotagedCheck, second, slowCalls } from "../kit.ts";

const crowd = { fromUs: 2.5 * second, toUs: 5 * second };

export default [
  {
    check: "latency",
    gross: (seed) => slowCalls(seed, "orders", 550_000, 1, crowd),
    mild: (seed) => slowCalls(seed, "orders", 550_000, 0.85, crowd),
  },
  {
    check: "recovery",
    gross: (seed) => slowCalls(seed, "orders", 550_000, 0.4, { fromUs: 6 * second }),
    mild: (seed) => slowCalls(seed, "orders", 550_000, 0.5, { fromUs: 6 * second, toUs: 7 * second }),
  },
] satisfies readonly SabotagedCheck[];
