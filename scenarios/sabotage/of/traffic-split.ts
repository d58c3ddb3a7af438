import { failingCalls, replacedRouter, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "share 0s..4s",
    gross: () => reweighted({ 80: 0, 20: 100 }),
    // The single instance's 20 % times 1.8.
    mild: () => reweighted({ 80: 64, 20: 36 }),
  },
  {
    check: "share 4500ms..8s",
    gross: () => reweighted({ 40: 0, 60: 100 }),
    // Its 60 % divided by 2.2.
    mild: () => reweighted({ 40: 7273, 60: 2727 }),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.05),
  },
] satisfies readonly SabotagedCheck[];

/** The condition router takes some weights for others. */
const reweighted = (weights: Readonly<Record<number, number>>) =>
  replacedRouter("condition", (router) => ({
    ...router,
    parse: (content) =>
      router.parse(
        content.replace(/weight: (\d+)/g, (_, weight: string) => `weight: ${weights[Number(weight)] ?? weight}`),
      ),
  }));
