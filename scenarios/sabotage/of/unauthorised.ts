import { failingCalls, onlyOn, unguarded, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "success-rate",
    gross: (seed) => onlyOn("storefront", failingCalls(seed, "orders", 0.3)),
    mild: (seed) => onlyOn("storefront", failingCalls(seed, "orders", 0.14)),
  },
  {
    check: "calls-end from reader",
    gross: (seed) => unguarded(seed, "orders", ({ caller }) => caller === "reader", 1),
    mild: (seed) => unguarded(seed, "orders", ({ caller }) => caller === "reader", 0.25),
  },
  {
    check: "calls-end from intruder",
    gross: (seed) => unguarded(seed, "orders", ({ caller }) => caller === "intruder", 1),
    mild: (seed) => unguarded(seed, "orders", ({ caller }) => caller === "intruder", 0.25),
  },
  {
    check: "calls-end from stranger",
    gross: (seed) => unguarded(seed, "orders", ({ caller }) => caller === undefined, 1),
    mild: (seed) => unguarded(seed, "orders", ({ caller }) => caller === undefined, 0.25),
  },
] satisfies readonly SabotagedCheck[];
