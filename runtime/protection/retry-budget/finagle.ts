import type { RetryBudgetPolicy } from "./retry-budget.ts";

/** A bucket's time is kept in so many parts: what was deposited leaves it a tenth of `ttlMs` at a time. */
const slices = 10;
/** What a call deposits (Finagle's scale factor); all else is a multiple of it. */
const deposit = 1000;

/**
 * Finagle's RetryBudget (com.twitter.finagle.service.RetryBudget): each call deposits 1, each retry withdraws 1 / `percentCanRetry`
 * (0.2, so 5), and deposits are forgotten after `ttlMs` (10 s). On top there is a reserve of `minRetriesPerSec` (10) retries a second
 * of that time, so that a client with few calls may retry at all. An idle client has 100 retries, one with 1,000 calls in
 * the last ten seconds 300.
 */
export const finagleBudget: RetryBudgetPolicy = (
  { percentCanRetry = 0.2, minRetriesPerSec = 10, ttlMs = 10_000 },
  { clock },
) => {
  const withdrawal = Math.max(1, Math.round(deposit / percentCanRetry));
  const reserve = Math.round((minRetriesPerSec * ttlMs) / 1000) * withdrawal;
  const sliceUs = (ttlMs * 1000) / slices;
  // What is left of each slice's deposits, less what was withdrawn in it.
  const balances = new Array<number>(slices).fill(0);
  let now = Math.floor(clock.nowUs() / sliceUs);

  const turn = (): number => {
    const then = now;
    now = Math.floor(clock.nowUs() / sliceUs);
    // After a whole ttl of silence every slice is old.
    for (let step = Math.max(then + 1, now - slices + 1); step <= now; step++) balances[step % slices] = 0;
    return now % slices;
  };
  return {
    began: () => {
      balances[turn()]! += deposit;
    },
    take: () => {
      const slice = turn();
      let balance = reserve;
      for (const each of balances) balance += each;
      if (balance < withdrawal) return false;
      balances[slice]! -= withdrawal;
      return true;
    },
    ended: nothing,
    succeeded: nothing,
    failed: nothing,
    returned: nothing,
  };
};

const nothing = (): void => undefined;
