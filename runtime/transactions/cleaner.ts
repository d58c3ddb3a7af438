import type { Clock } from "../ports/clock.ts";
import type { Coordinator } from "../ports/coordinator.ts";
import type { DataSource, Row, RowFilter, Table } from "../ports/data-source.ts";
import { keyOf } from "./values.ts";

/** Rows that a finished transaction leaves behind, and that are needed for as long as a late message may still come. */
export interface Remains {
  readonly table: Table;
  /** So long they stay. */
  readonly retentionMs: number;
  /** Those that were finished at that moment of the wall clock, or before. */
  readonly finished: (beforeMs: number) => Omit<RowFilter, "max">;
  /** The rows don't tell whether the transaction, their `xid`, is over: the coordinator is asked. Default false. */
  readonly needsEnd?: boolean | undefined;
}

export interface CleanerOptions {
  readonly clock: Clock;
  readonly dataSource: DataSource;
  readonly remains: readonly Remains[];
  /** Asked whether transactions are over, where `remains` need it. */
  readonly coordinator: Pick<Coordinator, "status">;
  /**
   * Before the first look. Default 60 s: Seata's fences are looked through at any moment of the first minute, its undo logs after three.
   */
  readonly firstMs?: number | undefined;
  /** Between two looks. Default 24 h, as Seata's. */
  readonly everyMs?: number | undefined;
  /** Rows that are read at once, and that one local transaction removes. Default 1000, as Seata's. */
  readonly batchMax?: number | undefined;
}

/** A coordinator has others to answer, too. */
const askedAtOnce = 32;
const minuteMs = 60_000;
const dayMs = 86_400_000;

/**
 * Removes what transactions have left once it has been there for its retention. What is removed guards nothing any more: a try that comes
 * later than that finds no fence, and does its work. So a retention is longer than any message can be late.
 */
export class Cleaner {
  readonly #options: CleanerOptions;
  #disarm: (() => void) | undefined;
  #isClosed = false;

  constructor(options: CleanerOptions) {
    this.#options = options;
    this.#arm(options.firstMs ?? minuteMs);
  }

  /** Removes what is due, and answers how many rows that were. Rejects as the database does; what was removed until then is gone. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (const remains of this.#options.remains) {
      removed += remains.needsEnd === true ? await this.#sweepEnded(remains) : await this.#sweep(remains);
    }
    return removed;
  }

  close(): void {
    this.#isClosed = true;
    this.#disarm?.();
  }

  async #sweep({ table, retentionMs, finished }: Remains): Promise<number> {
    const { clock, dataSource, batchMax = 1000 } = this.#options;
    const filter = { ...finished(clock.wallMs() - retentionMs), max: batchMax };
    let removed = 0;
    for (;;) {
      if (this.#isClosed) return removed;
      const keys = (await dataSource.rows(table, filter)).map((row) => keyOf(table, row));
      if (keys.length > 0) await dataSource.transaction((local) => local.removeEach(table, keys));
      removed += keys.length;
      if (keys.length < batchMax) return removed;
    }
  }

  /**
   * A transaction that the coordinator still knows may need a person: its rows stay, however old they are. So a batch goes on after the
   * last row of the one before, whatever stays of that.
   */
  async #sweepEnded({ table, retentionMs, finished }: Remains): Promise<number> {
    const { clock, dataSource, batchMax = 1000 } = this.#options;
    const old = finished(clock.wallMs() - retentionMs);
    let removed = 0;
    for (let after: Row = {}; !this.#isClosed;) {
      const due = await dataSource.rows(table, { ...old, after, max: batchMax });
      const { ended, failure } = await this.#ended(due);
      const keys = ended.map((row) => keyOf(table, row));
      if (keys.length > 0) await dataSource.transaction((local) => local.removeEach(table, keys));
      removed += keys.length;
      if (failure !== undefined) throw failure.reason;
      if (due.length < batchMax) break;
      after = keyOf(table, due.at(-1)!);
    }
    return removed;
  }

  /** Those whose transaction is over, as far as the coordinator could be asked. */
  async #ended(
    due: readonly Row[],
  ): Promise<{ readonly ended: readonly Row[]; readonly failure?: PromiseRejectedResult }> {
    const byXid = [...Map.groupBy(due, (row) => String(row["xid"]))];
    const ended: Row[] = [];
    for (let from = 0; from < byXid.length && !this.#isClosed; from += askedAtOnce) {
      const asked = byXid.slice(from, from + askedAtOnce).map(async ([xid, rows]) => {
        if ((await this.#options.coordinator.status(xid)) === "Finished") ended.push(...rows);
      });
      const failure = (await Promise.allSettled(asked)).find((answer) => answer.status === "rejected");
      if (failure !== undefined) return { ended, failure };
    }
    return { ended };
  }

  #arm(afterMs: number): void {
    if (this.#isClosed) return;
    this.#disarm = this.#options.clock.after(afterMs * 1000, () => {
      // A database or a coordinator that is away at the moment is cleaned up after the next time.
      void this.sweep()
        .catch(() => undefined)
        .then(() => this.#arm(this.#options.everyMs ?? dayMs));
    });
  }
}

/** Retentions: Seata's for its fence and for its undo logs; what a saga keeps has none there, and here that of an undo log. */
export const retentionMs = { fence: dayMs, undo: 7 * dayMs, saga: 7 * dayMs } as const;
