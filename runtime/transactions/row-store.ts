import { ChangeLog } from "../change-log.ts";
import { DataSourceError, type DataSource, type LocalTransaction, type Row, type Table } from "../ports/data-source.ts";
import { DiskError, type Disk } from "../ports/disk.ts";

/**
 * The embedded database: rows in memory, every commit on the disk before it is told, strict two-phase row locks. A lock is of a key,
 * whether its row is there or not; who waits longest gets it first; who would close a circle of waiting gives way (`DEADLOCK`).
 */
export async function openRowStore(disk: Disk): Promise<DataSource> {
  const { log, entries } = await ChangeLog.open(disk, "rows");
  return new RowStore(log, new Map(entries as ReadonlyMap<string, Row>));
}

class RowStore implements DataSource {
  readonly #log: ChangeLog;
  readonly #rows: Map<string, Row>;
  readonly #locks = new RowLocks();
  #isClosed = false;

  constructor(log: ChangeLog, rows: Map<string, Row>) {
    this.#log = log;
    this.#rows = rows;
    log.watch(() => this.#rows);
  }

  async transaction<T>(work: (local: LocalTransaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DataSourceError("the database is closed", { code: "CLOSED" });
    const local = new Local(this.#rows, this.#locks);
    try {
      const result = await work(local);
      await this.#commit(local.writes);
      return result;
    } finally {
      this.#locks.release(local);
    }
  }

  rows(table: Table): Promise<readonly Row[]> {
    const prefix = `${table.name}\n`;
    return Promise.resolve([...this.#rows].filter(([key]) => key.startsWith(prefix)).map(([, row]) => row));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#log.settled();
  }

  async #commit(writes: ReadonlyMap<string, Row>): Promise<void> {
    if (writes.size === 0) return;
    const before = [...writes.keys()].map((key) => [key, this.#rows.get(key)] as const);
    for (const [key, row] of writes) this.#rows.set(key, row);
    this.#log.note(...writes);
    try {
      await this.#log.durable();
    } catch (error) {
      // Its locks are held still: nobody has seen it.
      for (const [key, row] of before) {
        if (row === undefined) this.#rows.delete(key);
        else this.#rows.set(key, row);
      }
      const message = error instanceof DiskError ? error.message : String(error);
      throw new DataSourceError(`the database can't write: ${message}`, { code: "UNAVAILABLE", cause: error });
    }
  }
}

class Local implements LocalTransaction {
  readonly #rows: ReadonlyMap<string, Row>;
  readonly #locks: RowLocks;
  readonly writes = new Map<string, Row>();
  /** Whom it waits for. */
  waitsFor: Local | undefined;

  constructor(rows: ReadonlyMap<string, Row>, locks: RowLocks) {
    this.#rows = rows;
    this.#locks = locks;
  }

  async lock(table: Table, row: Row): Promise<Row | undefined> {
    const key = keyOf(table, row);
    await this.#locks.acquire(this, key);
    return this.writes.get(key) ?? this.#rows.get(key);
  }

  async insert(table: Table, row: Row): Promise<boolean> {
    if ((await this.lock(table, row)) !== undefined) return false;
    this.writes.set(keyOf(table, row), row);
    return true;
  }

  async update(table: Table, row: Row): Promise<void> {
    if ((await this.lock(table, row)) === undefined) {
      throw new DataSourceError(`${table.name} has no such row`, { code: "NO_ROW" });
    }
    this.writes.set(keyOf(table, row), row);
  }
}

interface Waiting {
  readonly local: Local;
  readonly grant: () => void;
}

class RowLocks {
  readonly #owners = new Map<string, { owner: Local; readonly waiting: Waiting[] }>();
  readonly #held = new Map<Local, string[]>();

  async acquire(local: Local, key: string): Promise<void> {
    const lock = this.#owners.get(key);
    if (lock === undefined) {
      this.#owners.set(key, { owner: local, waiting: [] });
      this.#hold(local, key);
      return;
    }
    if (lock.owner === local) return;
    // Who waits before it will have the row before it.
    const ahead = lock.waiting.at(-1)?.local ?? lock.owner;
    if (leadsTo(lock.owner, local) || leadsTo(ahead, local)) {
      throw new DataSourceError("two transactions wait for each other", { code: "DEADLOCK" });
    }
    local.waitsFor = ahead;
    await new Promise<void>((resolve) => lock.waiting.push({ local, grant: resolve }));
  }

  release(local: Local): void {
    const held = this.#held.get(local) ?? [];
    this.#held.delete(local);
    for (const key of held) {
      const lock = this.#owners.get(key)!;
      const next = lock.waiting.shift();
      if (next === undefined) {
        this.#owners.delete(key);
        continue;
      }
      lock.owner = next.local;
      next.local.waitsFor = undefined;
      this.#hold(next.local, key);
      next.grant();
    }
  }

  #hold(local: Local, key: string): void {
    const held = this.#held.get(local);
    if (held === undefined) this.#held.set(local, [key]);
    else held.push(key);
  }
}

/** Each waits for one other at most, so there is one way to go. */
function leadsTo(from: Local, to: Local): boolean {
  for (let local: Local | undefined = from; local !== undefined; local = local.waitsFor) if (local === to) return true;
  return false;
}

/** A key's values as JSON: a separator within one is no other key. */
const keyOf = (table: Table, row: Row): string =>
  `${table.name}\n${JSON.stringify(table.key.map((column) => row[column] ?? null))}`;
