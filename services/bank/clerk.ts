import type { Clock } from "../../runtime/ports/clock.ts";
import type { DataSource, LocalTransaction } from "../../runtime/ports/data-source.ts";
import type { Random } from "../../runtime/ports/random.ts";
import { AtResource, type AtOptions } from "../../runtime/transactions/at/at.ts";
import type { OutsideWriter } from "../../runtime/telemetry/events.ts";
import type { ConfigReader } from "../config.ts";
import { lockHolding, writeHolding, type Holdings } from "./holdings.ts";

/** A job that goes over rows outside of every global transaction. */
export interface ClerkConfig {
  /** Between two rows. */
  readonly everyMs: number;
  /**
   * Share of the rows before which it looks whether somebody has them globally. For the others it goes straight to the database. Default
   * all.
   */
  readonly lockingRate: number;
  /** It takes any of so many rows that were changed last. Default 1. */
  readonly among: number;
}

export function parseClerk(reader: ConfigReader): ClerkConfig | undefined {
  const own = reader.object("clerk");
  if (own === undefined) return undefined;
  const everyMs = own.number("everyMs", { min: 1, isInteger: true, max: 3_600_000 }, 100);
  const lockingRate = own.number("lockingRate", { min: 0, max: 1 }, 1);
  const among = own.number("among", { min: 1, isInteger: true, max: 100 }, 1);
  own.end();
  return { everyMs, lockingRate, among };
}

export interface ClerkOptions extends Omit<AtOptions<LocalTransaction>, "dataSource"> {
  readonly clock: Clock;
  readonly random: Random;
  readonly holdings: Holdings;
  /** The database, as it tells of what this kind of writer has changed. */
  readonly dataSources: Readonly<Record<OutsideWriter, DataSource>>;
}

/**
 * Takes note of a row that was changed lately, again and again, by writing into it: nothing of what there is becomes more or less. Where it
 * looks for global locks first it is as good as a branch; where it doesn't, whoever has just changed the row can't undo that any more.
 */
export class Clerk {
  readonly #options: ClerkOptions;
  readonly #config: ClerkConfig;
  readonly #resource: AtResource;
  /** Changed, and not written into since; the latest is the last. */
  #items: string[] = [];
  #disarm: (() => void) | undefined;
  #isClosed = false;

  constructor(config: ClerkConfig, options: ClerkOptions) {
    this.#config = config;
    this.#options = options;
    this.#resource = new AtResource({ ...options, dataSource: options.dataSources.locking });
    this.#arm();
  }

  /** A branch has changed this one. */
  hear(item: string): void {
    this.#items = [...this.#items.filter((other) => other !== item), item].slice(-this.#config.among);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#disarm?.();
    return this.#resource.close();
  }

  #arm(): void {
    if (this.#isClosed) return;
    this.#disarm = this.#options.clock.after(this.#config.everyMs * 1000, () => {
      // Who can't have a row, or has no database at the moment, goes on to the next.
      void this.#write()
        .catch(() => undefined)
        .then(() => this.#arm());
    });
  }

  async #write(): Promise<void> {
    const { random, dataSources } = this.#options;
    const count = this.#items.length;
    if (count === 0) return;
    const [item] = this.#items.splice(count === 1 ? 0 : random.below(count), 1) as [string];
    const note = (local: LocalTransaction): Promise<void> => this.#note(local, item);
    if (random.float() >= this.#config.lockingRate) return dataSources.bypassing.transaction(note);
    return this.#resource.transaction({ requiresGlobalLock: true }, note);
  }

  async #note(local: LocalTransaction, item: string): Promise<void> {
    const { table, version } = this.#options.holdings;
    await writeHolding(local, table, { ...(await lockHolding(local, table, item)), version: version() });
  }
}
