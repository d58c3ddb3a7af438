import { failingCalls, replacedRouter, strayingCalls, type SabotagedCheck } from "../kit.ts";

export default [
  {
    check: "share from storefront",
    gross: () => misread("pool=beta", "pool=main"),
    // A tenth of the calls goes there anyway.
    mild: (seed) => strayingCalls(seed, { to: "orders/2", share: (0.23 - 0.1) / 0.9, from: "storefront" }),
  },
  {
    check: "share from partner",
    gross: () => misread("tier]=vip", "tier]=nobody"),
    mild: (seed) => strayingCalls(seed, { to: "orders/0", share: 1 - 1 / 1.05, from: "partner" }),
  },
  {
    check: "success-rate",
    gross: (seed) => failingCalls(seed, "orders", 0.3),
    mild: (seed) => failingCalls(seed, "orders", 0.06),
  },
] satisfies readonly SabotagedCheck[];

/** The condition router reads one word for another. */
const misread = (written: string, read: string) =>
  replacedRouter("condition", (router) => ({
    ...router,
    parse: (content) => router.parse(content.replace(written, read)),
  }));
