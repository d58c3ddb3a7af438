import type { Clock } from "../../ports/clock.ts";
import type { Coordinator } from "../../ports/coordinator.ts";
import type { LocalTransaction, Row, Table } from "../../ports/data-source.ts";
import { TransactionError } from "../error.ts";
import { formatLockKey, type RowKey } from "../lock-key.ts";
import { textOf } from "../values.ts";
import { untilUnlocked, type LockRetryOptions } from "./lock-retry.ts";
import type { UndoItem } from "./undo-log.ts";

export interface AtBranchOptions {
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly resourceId: string;
  /** Undefined: no global transaction, but one whose writes and locking reads keep off the rows of those that are under way. */
  readonly xid: string | undefined;
  readonly lockRetry: LockRetryOptions;
}

/** What a local transaction has done so far that its branch will have to answer for. */
export class AtBranch {
  readonly #options: AtBranchOptions;
  #items: UndoItem[] = [];
  /** The latest, which is told again for as long as it is the same one: who waits is refused many times. */
  #conflict: TransactionError | undefined;
  /** Undefined until the coordinator knows it. */
  branchId: string | undefined;

  constructor(options: AtBranchOptions) {
    this.#options = options;
  }

  get items(): readonly UndoItem[] {
    return this.#items;
  }

  /** Of every row that was changed. */
  get lockKey(): string {
    const keys: RowKey[] = [];
    for (const { table, rows } of this.#items) {
      for (const { before, after } of rows) keys.push(rowKey(table, after ?? before));
    }
    return formatLockKey(keys);
  }

  /** A statement that changed nothing is nothing to undo. */
  record(item: UndoItem): void {
    if (item.rows.length > 0) this.#items.push(item);
  }

  /**
   * `SELECT … FOR UPDATE`: reads rows under their local locks until no other global transaction has them, so what comes back is committed
   * globally too. Between two tries the local locks are let go, since the other may need them for its rollback, and everything is read
   * anew (seata#1196).
   */
  async reading<T>(
    local: LocalTransaction,
    select: () => Promise<{ readonly result: T; readonly rows: readonly RowKey[] }>,
  ): Promise<T> {
    const { clock, lockRetry } = this.#options;
    return untilUnlocked(clock, lockRetry, () =>
      local.savepoint(async () => {
        const { result, rows } = await select();
        if (rows.length > 0) await this.check(formatLockKey(rows));
        return result;
      }),
    );
  }

  /** Rejects with a `TransactionError`: `LockKeyConflict`, when another transaction has one of these rows. */
  async check(lockKey: string): Promise<void> {
    const { coordinator, resourceId, xid = "" } = this.#options;
    if (await coordinator.lockQuery({ xid, branchType: "AT", resourceId, lockKey })) return;
    const message = `another transaction holds ${lockKey}`;
    if (this.#conflict?.message !== message) {
      this.#conflict = new TransactionError(message, { code: "LockKeyConflict" });
    }
    throw this.#conflict;
  }

  /** As the local transaction's own. */
  async savepoint<T>(local: LocalTransaction, work: () => Promise<T>): Promise<T> {
    const before = this.#items;
    this.#items = [...before];
    try {
      return await local.savepoint(work);
    } catch (error) {
      this.#items = before;
      throw error;
    }
  }
}

/**
 * A row's key for its global lock, by the table's definition. What is in PostgreSQL's schema "public" goes by the table's name alone,
 * whether who changes it has said where it is or not.
 */
export function rowKey(table: Table, row: Row): RowKey {
  return { table: bareName(table.name), pk: table.key.map((column) => textOf(row[column] ?? null)) };
}

const bareName = (name: string): string => (name.startsWith("public.") ? name.slice("public.".length) : name);
