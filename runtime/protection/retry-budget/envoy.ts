import type { RetryBudgetPolicy } from "./retry-budget.ts";

/**
 * Envoy's retry budget (cluster.CircuitBreakers.Thresholds.RetryBudget): at any time at most `budgetPercent` (20) percent of the calls
 * that are under way may be retries, and `minRetryConcurrency` (3) always may. It bounds concurrency and not rate: retries that
 * end fast are many.
 */
export const envoyBudget: RetryBudgetPolicy = ({ budgetPercent = 20, minRetryConcurrency = 3 }) => {
  let calls = 0;
  let retries = 0;
  return {
    began: () => {
      calls++;
    },
    ended: () => {
      calls--;
    },
    take: () => {
      if (retries >= Math.max(minRetryConcurrency, Math.floor((calls * budgetPercent) / 100))) return false;
      retries++;
      return true;
    },
    returned: () => {
      retries--;
    },
    succeeded: nothing,
    failed: nothing,
  };
};

const nothing = (): void => undefined;
