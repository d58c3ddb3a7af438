import type { RetryBudgetPolicy } from "./retry-budget.ts";

/**
 * gRPC's retry throttling (proposal A6, `retryThrottling`): a bucket of `maxTokens` (10), full at first. A failure that may be
 * retried takes one token, a success gives `tokenRatio` (0.1) back, and retries are made while more than half of the bucket is left.
 * So at most maxTokens / 2 + tokenRatio · successes retries, whatever fails. The failure is counted first, then the tokens are
 * compared. Counts are kept in thousandths: gRPC allows `tokenRatio` three decimals, and sums of thousandths are exact.
 */
export const grpcThrottling: RetryBudgetPolicy = ({ maxTokens = 10, tokenRatio = 0.1 }) => {
  const most = Math.round(maxTokens * 1000);
  const ratio = Math.floor(tokenRatio * 1000 + 1e-9);
  let tokens = most;
  return {
    began: nothing,
    ended: nothing,
    succeeded: () => {
      tokens = Math.min(tokens + ratio, most);
    },
    failed: () => {
      tokens = Math.max(tokens - 1000, 0);
    },
    take: () => tokens > most / 2,
    returned: nothing,
  };
};

const nothing = (): void => undefined;
