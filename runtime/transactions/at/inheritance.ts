import type { Clock } from "../../ports/clock.ts";
import type { Coordinator } from "../../ports/coordinator.ts";
import type { DataSource } from "../../ports/data-source.ts";
import { undoStatus, undoTable, type UndoBranch } from "./undo-log.ts";

export interface InheritanceOptions {
  readonly clock: Clock;
  readonly coordinator: Pick<Coordinator, "status">;
  readonly dataSource: DataSource;
  /** Before the second look; each further pause is twice as long, up to a minute. */
  readonly pauseMs: number;
  /** Has an undo log removed; false: not now. */
  readonly remove: (branch: UndoBranch) => boolean;
}

const longestPauseMs = 60_000;

/**
 * Undo logs that an earlier life has left. Commits that were answered before a crash are forgotten with the queue that they waited in, and
 * nobody asks for them again. A coordinator that knows nothing of a transaction any more has finished each of its branches, and what it
 * rolled back has no undo log. Until then it is asked again: it may be away, or wait for another branch.
 */
export class Inheritance {
  readonly #options: InheritanceOptions;
  /** Transactions that had undo logs at the first look: those that came later are this life's. */
  #left: ReadonlySet<string> | undefined;
  #pauseMs: number;
  #disarm: (() => void) | undefined;
  #isClosed = false;

  constructor(options: InheritanceOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs;
  }

  /** Never rejects: what can't be settled now is looked at again. */
  async settle(): Promise<void> {
    const isSettled = await this.#look().catch(() => false);
    if (isSettled || this.#isClosed) return;
    this.#disarm = this.#options.clock.after(this.#pauseMs * 1000, () => void this.settle());
    this.#pauseMs = Math.min(2 * this.#pauseMs, longestPauseMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#disarm?.();
  }

  /** Whether nothing of it is there any more, or will soon be. */
  async #look(): Promise<boolean> {
    const { coordinator, dataSource, remove } = this.#options;
    const filter = this.#left && { among: { xid: [...this.#left] } };
    const rows = (await dataSource.rows(undoTable, filter)).filter((row) => row["log_status"] !== undoStatus.fence);
    const byXid = Map.groupBy(rows, (row) => String(row["xid"]));
    const left = new Set(byXid.keys());
    this.#left = left;
    for (const xid of left) {
      const status = await coordinator.status(xid);
      if (this.#isClosed) return false;
      if (status !== "Finished") continue;
      const isTaken = byXid.get(xid)!.map((row) => remove({ xid, branchId: String(row["branch_id"]) }));
      if (isTaken.every(Boolean)) left.delete(xid);
    }
    return left.size === 0;
  }
}
