import { failingCalls, strayingCalls, type SabotagedCheck } from "../kit.ts";

const [gray, plain] = [1 - 1 / 1.06, 1 - 1 / 1.04];

export default [
  {
    check: "share of cart in gray",
    gross: (seed) => strayingCalls(seed, { to: "cart/0", share: 0.5, lane: "gray" }),
    mild: (seed) => strayingCalls(seed, { to: "cart/0", share: gray, lane: "gray" }),
  },
  {
    check: "share of cart in -",
    gross: (seed) => strayingCalls(seed, { to: "cart/2", share: 0.5, lane: "-" }),
    mild: (seed) => strayingCalls(seed, { to: "cart/2", share: plain, lane: "-" }),
  },
  {
    check: "share of stock in gray",
    gross: (seed) => strayingCalls(seed, { to: "stock/0", share: 0.5, lane: "gray" }),
    mild: (seed) => strayingCalls(seed, { to: "stock/0", share: gray, lane: "gray" }),
  },
  {
    check: "share of stock in -",
    gross: (seed) => strayingCalls(seed, { to: "stock/2", share: 0.5, lane: "-" }),
    mild: (seed) => strayingCalls(seed, { to: "stock/2", share: plain, lane: "-" }),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "cart", 0.3),
    mild: (seed) => failingCalls(seed, "cart", 0.09),
  },
] satisfies readonly SabotagedCheck[];
