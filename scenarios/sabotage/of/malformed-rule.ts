import { failingCalls, second, silentAboutRules, strayingCalls, type SabotagedCheck } from "../kit.ts";

const before = { toUs: 5 * second };
const after = { fromUs: 5.5 * second };

export default [
  {
    check: "rule-rejected",
    gross: () => silentAboutRules(() => true),
    mild: () => silentAboutRules((node) => node === "storefront/0"),
  },
  {
    check: "share 0s..5s",
    gross: (seed) => strayingCalls(seed, { to: "orders/1", share: 0.5, when: before }),
    mild: (seed) => strayingCalls(seed, { to: "orders/1", share: 1 - 1 / 1.03, when: before }),
  },
  {
    check: "share 5500ms..7s",
    gross: (seed) => strayingCalls(seed, { to: "orders/0", share: 0.5, when: after }),
    mild: (seed) => strayingCalls(seed, { to: "orders/0", share: 1 - 1 / 1.08, when: after }),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.09),
  },
] satisfies readonly SabotagedCheck[];
