import type { RetryBudgetPolicy } from "./retry-budget.ts";

/** No budget, the default (Dubbo's): every retry is allowed. */
export const unlimited: RetryBudgetPolicy = () => ({
  began: nothing,
  ended: nothing,
  succeeded: nothing,
  failed: nothing,
  take: () => true,
  returned: nothing,
});

const nothing = (): void => undefined;
