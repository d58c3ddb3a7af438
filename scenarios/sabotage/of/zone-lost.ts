import { failingCalls, second, strayStrategies, type SabotagedCheck, unfairBalancer, type When } from "../kit.ts";

const home: When = { toUs: 1.5 * second };
const away: When = { fromUs: 2.9 * second, toUs: 4 * second };
const back: When = { fromUs: 5.5 * second };

/** The strategy forgets its zones for a while: the gross defect. */
const zoneless = (seed: number, when: When) => strayStrategies(seed, "zone-aware", "failover", 1, when);

/** One instance of the zone gets 1.8 times its half. */
const unfair = (seed: number, id: string, when: When) =>
  unfairBalancer(seed, "smooth-weighted-round-robin", id, 1.8 / 2, when);

export default [
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.06),
  },
  {
    check: "share 0s..1500ms",
    gross: (seed) => zoneless(seed, home),
    mild: (seed) => unfair(seed, "orders/0", home),
  },
  {
    check: "share 2900ms..4s",
    gross: (seed) => unfairBalancer(seed, "smooth-weighted-round-robin", "orders/2", 1, away),
    mild: (seed) => unfair(seed, "orders/3", away),
  },
  {
    check: "share 5500ms..7s",
    gross: (seed) => zoneless(seed, back),
    mild: (seed) => unfair(seed, "orders/0", back),
  },
] satisfies readonly SabotagedCheck[];
