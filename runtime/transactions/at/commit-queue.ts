import type { Clock } from "../../ports/clock.ts";
import type { UndoBranch } from "./undo-log.ts";

export interface CommitQueueOptions {
  readonly clock: Clock;
  /** Time between a commit and the removal of its undo log, at most. */
  readonly everyMs: number;
  /** Branches removed by one statement. */
  readonly batchMax: number;
  /** Branches that may wait. */
  readonly waitingMax: number;
  /** Removes their undo logs, all or none. */
  readonly remove: (branches: readonly UndoBranch[]) => Promise<void>;
}

/**
 * Branches whose commit was answered and whose undo logs are still to be removed: what they changed is committed already, so nobody waits
 * for it, and many are removed together. What can't be removed now, because the database is away, is tried again.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #waiting: UndoBranch[] = [];
  #disarm: (() => void) | undefined;
  #flushing: Promise<void> | undefined;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /** False when too many wait already: the coordinator is to ask again. */
  add(branch: UndoBranch): boolean {
    if (this.#waiting.length >= this.#options.waitingMax) return false;
    this.#put([branch]);
    return true;
  }

  /** Removes what waits. Never rejects: what couldn't be removed waits for another time. */
  async flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
      // What came meanwhile, and whose time was over before this was.
      if (this.#waiting.length > 0) this.#arm();
    });
    await this.#flushing;
  }

  /** Removes what waits, once; then nothing is tried any more. */
  async close(): Promise<void> {
    await this.#flushing;
    await this.flush();
    this.#disarm?.();
  }

  async #flush(): Promise<void> {
    const { batchMax, remove } = this.#options;
    const waiting = this.#waiting;
    this.#waiting = [];
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchMax);
      try {
        await remove(batch);
        waiting.splice(0, batch.length);
      } catch {
        // They were accepted: they count, whatever else waits.
        this.#put(waiting);
        return;
      }
    }
  }

  #put(branches: readonly UndoBranch[]): void {
    this.#waiting.push(...branches);
    this.#arm();
  }

  #arm(): void {
    const { clock, everyMs } = this.#options;
    this.#disarm ??= clock.after(everyMs * 1000, () => {
      this.#disarm = undefined;
      void this.flush();
    });
  }
}
