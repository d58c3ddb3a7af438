import { failingCalls, ghostAttempts, type SabotagedCheck, second, wastefulAttempts } from "../kit.ts";

export default [
  {
    // Before the kill: 20 % of all calls, of which the kill itself costs 3.
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 1, { toUs: 1.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", ((0.2 - 0.03) * 8) / 1.5, { toUs: 1.5 * second }),
  },
  {
    // Half of the instances are dead: failover would make one and a half attempts a call, while they are listed.
    check: "attempts-per-call",
    gross: (seed) => wastefulAttempts(seed, "failfast", 1),
    mild: (seed) => wastefulAttempts(seed, "failfast", 0.6),
  },
  {
    // To a dead instance that nobody waits for: asked in vain beside every call, so that the calls themselves stay well.
    check: "no-dead-calls",
    gross: () => ghostAttempts("failfast", "orders/1", { fromUs: 2.6 * second }),
    mild: () => ghostAttempts("failfast", "orders/1", { fromUs: 2.6 * second, toUs: 4 * second }),
  },
  {
    check: "recovery",
    gross: (seed) => failingCalls(seed, "orders", 0.3, { fromUs: 3 * second, toUs: 4.5 * second }),
    mild: (seed) => failingCalls(seed, "orders", 0.5, { fromUs: 3 * second, toUs: 4 * second }),
  },
] satisfies readonly SabotagedCheck[];
