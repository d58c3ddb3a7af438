import type { Clock } from "../../ports/clock.ts";
import { TransactionError } from "../error.ts";

/** How long a branch waits for rows that another transaction holds. */
export interface LockRetryOptions {
  /** Pause between two tries, in milliseconds. Default 10, as Seata's `client.rm.lock.retryInterval`. */
  readonly intervalMs?: number | undefined;
  /** Tries after the first. Default 30, as Seata's `client.rm.lock.retryTimes`: 300 ms in all. */
  readonly timesMax?: number | undefined;
}

/** Does `attempt` until it isn't refused a global lock; rejects with a `TransactionError`: `LockWaitTimeout` after the last try. */
export async function untilUnlocked<T>(
  clock: Clock,
  { intervalMs = 10, timesMax = 30 }: LockRetryOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error)) throw error;
      if (tries >= timesMax) throw waitedTooLong(error, tries, intervalMs);
    }
    await clock.sleep(intervalMs * 1000);
  }
}

/** `LockKeyConflictFailFast` is none: whoever holds the row needs what this branch holds, and waiting would be for ever. */
function isConflict(error: unknown): error is TransactionError {
  return error instanceof TransactionError && error.code === "LockKeyConflict";
}

function waitedTooLong(error: TransactionError, tries: number, intervalMs: number): TransactionError {
  return new TransactionError(`${error.message}, and still after ${tries} tries, ${intervalMs} ms apart`, {
    code: "LockWaitTimeout",
    hint: "the whole transaction is to be rolled back; spread hot rows, or allow more tries",
    cause: error,
  });
}
