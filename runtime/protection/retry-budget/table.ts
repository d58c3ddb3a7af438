import { envoyBudget } from "./envoy.ts";
import { finagleBudget } from "./finagle.ts";
import { grpcThrottling } from "./grpc.ts";
import type { RetryBudgetPolicy } from "./retry-budget.ts";
import { unlimited } from "./unlimited.ts";

/** The built-in retry budgets by name. */
export const retryBudgets: Readonly<Record<string, RetryBudgetPolicy>> = {
  unlimited,
  grpc: grpcThrottling,
  finagle: finagleBudget,
  envoy: envoyBudget,
};
