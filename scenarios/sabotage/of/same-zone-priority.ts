import { failingCalls, onlyOn, second, strayingCalls, type SabotagedCheck, type When } from "../kit.ts";

const home: When = { toUs: 1.5 * second };
const away: When = { fromUs: 3 * second, toUs: 4.5 * second };
const back: When = { fromUs: 6.5 * second };

/** Half of the calls go there anyway. */
const more = (seed: number, to: string, factor: number, from: string, when: When = {}) =>
  strayingCalls(seed, { to, share: (0.5 * factor - 0.5) / 0.5, from, when });

export default [
  {
    check: "share from storefront-a 0s..1500ms",
    gross: (seed) => strayingCalls(seed, { to: "orders/2", share: 0.5, from: "storefront-a", when: home }),
    mild: (seed) => more(seed, "orders/0", 1.8, "storefront-a", home),
  },
  {
    check: "share from storefront-a 3s..4500ms",
    gross: (seed) => more(seed, "orders/2", 2, "storefront-a", away),
    mild: (seed) => more(seed, "orders/3", 1.8, "storefront-a", away),
  },
  {
    check: "share from storefront-a 6500ms..8s",
    gross: (seed) => strayingCalls(seed, { to: "orders/2", share: 0.5, from: "storefront-a", when: back }),
    mild: (seed) => more(seed, "orders/0", 1.8, "storefront-a", back),
  },
  {
    check: "share from storefront-b",
    gross: (seed) => more(seed, "orders/2", 2, "storefront-b"),
    mild: (seed) => more(seed, "orders/2", 1.6, "storefront-b"),
  },
  {
    check: "success-rate from storefront-b",
    gross: (seed) => onlyOn("storefront-b", failingCalls(seed, "orders", 0.4)),
    mild: (seed) => onlyOn("storefront-b", failingCalls(seed, "orders", 0.12)),
  },
  {
    check: "success-rate from storefront-a",
    gross: (seed) => onlyOn("storefront-a", failingCalls(seed, "orders", 0.3)),
    mild: (seed) => onlyOn("storefront-a", failingCalls(seed, "orders", 0.11)),
  },
] satisfies readonly SabotagedCheck[];
