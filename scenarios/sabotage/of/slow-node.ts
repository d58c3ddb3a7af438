import { type SabotagedCheck, slowCalls, swappedBalancer } from "../kit.ts";

export default [
  {
    // Round-robin doesn't look: every fourth call goes to the slow instance.
    check: "latency",
    gross: () => swappedBalancer("least-active", "smooth-weighted-round-robin"),
    // Least-active itself leaves the slow one 0.02 of the calls.
    mild: (seed) => slowCalls(seed, "orders", 150_000, (0.15 - 0.02) / 0.98),
  },
] satisfies readonly SabotagedCheck[];
