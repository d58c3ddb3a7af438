import { failingCalls, onlyOn, unguarded, type SabotagedCheck } from "../kit.ts";

const isWarehouse = ({ principal }: { readonly principal: string | undefined }): boolean => principal === "warehouse";

export default [
  {
    check: "success-rate",
    gross: (seed) => onlyOn("storefront", failingCalls(seed, "orders", 0.3)),
    mild: (seed) => onlyOn("storefront", failingCalls(seed, "orders", 0.14)),
  },
  {
    check: "calls-end",
    gross: (seed) => unguarded(seed, "orders", isWarehouse, 1),
    mild: (seed) => unguarded(seed, "orders", isWarehouse, 0.25),
  },
] satisfies readonly SabotagedCheck[];
