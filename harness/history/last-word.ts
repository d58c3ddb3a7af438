import type { TransactionChange } from "../../runtime/telemetry/events.ts";
import { isEnded, type GlobalStatus } from "../../runtime/transactions/status.ts";

/**
 * The coordinator's last word on a transaction, when `word` was the one before and this is told next. Whoever asks is answered (`found`);
 * that one is over, the embedded coordinator says by itself (`status`), and, should a crash have taken that back, what becomes of it then.
 * Nodes report in batches: an answer that was given before its end may come after it.
 */
export function lastWord(word: GlobalStatus | undefined, change: TransactionChange): GlobalStatus | undefined {
  const isOver = word !== undefined && isEnded(word);
  if (change.what === "found") return isOver && !isEnded(change.status) ? word : change.status;
  if (change.what === "status" && (isOver || isEnded(change.status))) return change.status;
  return word;
}
