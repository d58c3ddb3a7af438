import { createBackoff } from "../../call/backoff.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Random } from "../../ports/random.ts";
import type { Subscription } from "../../ports/registry.ts";
import type { Watcher, ZooKeeperClient } from "./client.ts";

export interface LastingWatchOptions<T> {
  readonly clock: Clock;
  readonly random: Random;
  readonly client: ZooKeeperClient;
  /** Reads, and sets the watches again. */
  readonly read: (watcher: Watcher) => Promise<T>;
  /** Hears what was read; says whether that is news or known. A no is a server that lags behind, and is asked again. */
  readonly tell: (value: T) => boolean;
  /** A node has changed. */
  readonly onEvent?: (path: string) => void;
  /** A new session has begun: no watch is left. */
  readonly onSession?: () => void;
}

/**
 * Reads again whenever something changes, until it is closed. ZooKeeper's watches say once that something has changed, not what:
 * each is set again by the read that follows, and whatever happened in between is in it. Changes that come while a read is under
 * way are read together after it, so the last state is always told.
 */
export class LastingWatch<T> implements Subscription {
  readonly #options: LastingWatchOptions<T>;
  readonly #leave: () => void;
  #isOutdated = true;
  #isClosed = false;
  #wake: () => void = () => undefined;

  constructor(options: LastingWatchOptions<T>) {
    this.#options = options;
    this.#leave = options.client.onSession(() => {
      options.onSession?.();
      this.#outdate();
    });
    void this.#run();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leave();
    this.#options.client.forget(this.#hear);
    this.#wake();
  }

  readonly #hear = (path: string): void => {
    this.#options.onEvent?.(path);
    this.#outdate();
  };

  #outdate(): void {
    this.#isOutdated = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    const { random, client, read, tell } = this.#options;
    const backoff = createBackoff(random);
    while (!this.#isClosed && !client.isClosed) {
      if (!this.#isOutdated) {
        await this.#wait(undefined);
        continue;
      }
      let isDone = false;
      try {
        await client.connected();
        if (this.#isClosed) return;
        this.#isOutdated = false;
        const value = await read(this.#hear);
        if (this.#isClosed) return this.#options.client.forget(this.#hear);
        isDone = tell(value);
      } catch {
        // Whatever it was, the way out is to read again.
      }
      if (isDone) backoff.reset();
      else this.#isOutdated = true;
      if (!isDone && !this.#isClosed) await this.#wait(backoff.nextUs());
    }
  }

  /** Until something happens, or for so long. */
  #wait(delayUs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const disarm = delayUs === undefined ? undefined : this.#options.clock.after(delayUs, () => this.#wake());
      this.#wake = () => {
        this.#wake = () => undefined;
        disarm?.();
        resolve();
      };
    });
  }
}
