import { ChangeLog, type Change } from "../change-log.ts";
import { fromBase64, toBase64 } from "../codec/base64.ts";
import {
  DataSourceError,
  type DataSource,
  type LocalTransaction,
  type Row,
  type RowFilter,
  type Table,
  type Value,
} from "../ports/data-source.ts";
import { DiskError, type Disk } from "../ports/disk.ts";
import { RowLocks, type LockOwner } from "./row-locks.ts";
import { isMeant, isSameValue, wholeRow } from "./values.ts";

/**
 * The embedded database: rows in memory, every commit on the disk before it is told, strict two-phase row locks (`row-locks.ts`), reading
 * what is committed. The same statements in the same order do what they do in PostgreSQL, waiting included: a row that isn't there can't
 * be locked, and whoever adds, changes or removes one, but not who merely locks it, is waited for by those who would add it. One
 * difference: whoever waits for a row that its transaction removes and adds again gets the new one, where PostgreSQL says that it is
 * gone.
 */
export async function openRowStore(disk: Disk): Promise<DataSource> {
  const { log, entries } = await ChangeLog.open(disk, "rows");
  return new RowStore(log, entries);
}

class RowStore implements DataSource {
  readonly #log: ChangeLog;
  readonly #rows = new Rows();
  readonly #locks = new RowLocks();
  #isClosed = false;

  constructor(log: ChangeLog, entries: ReadonlyMap<string, unknown>) {
    this.#log = log;
    for (const [key, stored] of entries) this.#rows.set(key, fromStored(stored as StoredRow));
    log.watch(() => changesOf(this.#rows));
  }

  async transaction<T>(work: (local: LocalTransaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DataSourceError("the database is closed", { code: "CLOSED" });
    const local = new Local(this.#rows, this.#locks);
    try {
      const result = await work(local);
      local.check();
      await this.#commit(local.writes);
      return result;
    } finally {
      this.#locks.release(local);
    }
  }

  rows(table: Table, filter?: RowFilter): Promise<readonly Row[]> {
    const { after, max } = filter ?? {};
    const meant: Row[] = [];
    for (const [, row] of this.#rows.of(table.name)) {
      if (after === undefined && meant.length === max) break;
      if (filter === undefined || isMeant(row, filter)) meant.push(row);
    }
    if (after === undefined) return Promise.resolve(meant);
    const isFirst = Object.keys(after).length === 0;
    const later = meant.filter((row) => isFirst || inKeyOrder(table, row, after) > 0);
    return Promise.resolve(later.sort((one, other) => inKeyOrder(table, one, other)).slice(0, max));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#log.settled();
  }

  async #commit(writes: Writes): Promise<void> {
    if (writes.size === 0) return;
    this.#rows.note(writes);
    this.#log.note(...changesOf(writes));
    try {
      await this.#log.durable();
      this.#rows.show(writes.keys());
    } catch (error) {
      this.#rows.takeBack(writes.keys());
      const message = error instanceof DiskError ? error.message : String(error);
      throw new DataSourceError(`the database can't write: ${message}`, { code: "UNAVAILABLE", cause: error });
    }
  }
}

function changesOf(rows: Iterable<readonly [string, Row | undefined]>): readonly Change[] {
  const changes: Change[] = [];
  for (const [key, row] of rows) changes.push([key, row === undefined ? null : toStored(row)]);
  return changes;
}

/**
 * Every row of every table. A key is the table's name, a line break, and the key's values as JSON: a separator within one is no other key.
 */
class Rows {
  readonly #tables = new Map<string, Map<string, Row>>();
  /** What is still to be seen of rows whose change isn't on the disk yet. */
  readonly #before = new Map<string, Row | undefined>();

  *of(table: string): Iterable<readonly [string, Row]> {
    const rows = this.#tables.get(table) ?? new Map<string, Row>();
    for (const entry of rows) if (!this.#before.has(entry[0])) yield entry;
    for (const [key, row] of this.#before) if (row !== undefined && tableOf(key) === table) yield [key, row];
  }

  get(table: string, key: string): Row | undefined {
    if (this.#before.size > 0 && this.#before.has(key)) return this.#before.get(key);
    return this.#tables.get(table)?.get(key);
  }

  /** Takes over what nobody may see yet: it is part of what a snapshot has. */
  note(writes: Writes): void {
    for (const [key, row] of writes) {
      const table = this.#table(tableOf(key));
      this.#before.set(key, this.#before.has(key) ? this.#before.get(key) : table.get(key));
      put(table, key, row);
    }
  }

  show(keys: Iterable<string>): void {
    for (const key of keys) this.#before.delete(key);
  }

  takeBack(keys: Iterable<string>): void {
    for (const key of keys) {
      this.set(key, this.#before.get(key));
      this.#before.delete(key);
    }
  }

  /** Undefined: it is gone. */
  set(key: string, row: Row | undefined): void {
    put(this.#table(tableOf(key)), key, row);
  }

  #table(name: string): Map<string, Row> {
    let table = this.#tables.get(name);
    if (table === undefined) this.#tables.set(name, (table = new Map<string, Row>()));
    return table;
  }

  *[Symbol.iterator](): Iterator<[string, Row]> {
    for (const table of this.#tables.values()) yield* table;
  }
}

function put(rows: Map<string, Row>, key: string, row: Row | undefined): void {
  if (row === undefined) rows.delete(key);
  else rows.set(key, row);
}

/** What a transaction has left of rows; undefined: it has removed it. */
type Writes = ReadonlyMap<string, Row | undefined>;

class Local implements LocalTransaction, LockOwner {
  readonly #rows: Rows;
  readonly #locks: RowLocks;
  readonly #names = new Names();
  #writes = new Map<string, Row | undefined>();
  #hasFailed = false;
  /** What it had written at its latest savepoint, and how many locks it had. */
  #kept: { readonly writes: Writes; readonly locks: number } = { writes: new Map(), locks: 0 };
  waitsFor: LockOwner | undefined;

  constructor(rows: Rows, locks: RowLocks) {
    this.#rows = rows;
    this.#locks = locks;
  }

  get writes(): Writes {
    return this.#writes;
  }

  /** A transaction that gave way can only be rolled back, as in PostgreSQL. */
  check(): void {
    if (!this.#hasFailed) return;
    throw new DataSourceError("the transaction has failed, and is to be rolled back", { code: "FAILED" });
  }

  lock(table: Table, key: Row): Promise<Row | undefined> {
    return this.#lock(table, this.#names.of(table, key));
  }

  async lockEach(table: Table, part: Row): Promise<readonly Row[]> {
    this.check();
    const columns = Object.entries(part);
    const isWanted = (row: Row): boolean => columns.every(([column, value]) => isSameValue(row[column] ?? null, value));
    const wanted = new Map<string, Row>();
    for (const [key, row] of this.#rows.of(table.name)) if (isWanted(row)) wanted.set(key, row);
    for (const [key, row] of this.#writes) {
      if (row !== undefined && tableOf(key) === table.name && isWanted(row)) wanted.set(key, row);
    }
    const locked: Row[] = [];
    for (const [key] of [...wanted].sort(([, one], [, other]) => inKeyOrder(table, one, other))) {
      const row = await this.#lock(table, key);
      if (row !== undefined) locked.push(row);
    }
    return locked;
  }

  async read(table: Table, key: Row): Promise<Row | undefined> {
    this.check();
    return this.#now(table, this.#names.of(table, key));
  }

  async insert(table: Table, row: Row): Promise<Row | undefined> {
    this.check();
    const key = this.#names.of(table, row);
    // Who is at it may add, change, remove or keep it. Who merely locks a row that is there isn't waited for.
    while (this.#isAnothers(key) && (this.#now(table, key) === undefined || this.#isChanging(key))) {
      await this.#changed(key);
    }
    if (this.#now(table, key) !== undefined) return undefined;
    // It is free, or this transaction's: nobody is waited for.
    void this.#acquire(key);
    const added = wholeRow(table, row);
    this.#writes.set(key, added);
    return added;
  }

  async update(table: Table, row: Row): Promise<Row> {
    const key = this.#names.of(table, row);
    const current = this.#own(table, key) ?? (await this.#lock(table, key));
    if (current === undefined) throw new DataSourceError(`${table.name} has no such row`, { code: "NO_ROW" });
    const updated = wholeRow(table, row, current);
    this.#writes.set(key, updated);
    return updated;
  }

  async remove(table: Table, key: Row): Promise<boolean> {
    const name = this.#names.of(table, key);
    if ((this.#own(table, name) ?? (await this.#lock(table, name))) === undefined) return false;
    this.#writes.set(name, undefined);
    return true;
  }

  async removeEach(table: Table, keys: readonly Row[]): Promise<void> {
    for (const key of keys) await this.remove(table, key);
  }

  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    this.check();
    const outer = this.#kept;
    const kept = (this.#kept = { writes: new Map(this.#writes), locks: this.#locks.countOf(this) });
    try {
      const result = await work();
      this.check();
      return result;
    } catch (error) {
      this.#undo(kept);
      this.#hasFailed = false;
      throw error;
    } finally {
      this.#kept = outer;
    }
  }

  async #lock(table: Table, key: string): Promise<Row | undefined> {
    this.check();
    const before = this.#now(table, key);
    // What isn't committed isn't seen, whoever is adding it.
    if (before === undefined) return undefined;
    const wait = this.#acquire(key);
    if (wait === undefined) return before;
    await wait;
    const row = this.#now(table, key);
    if (row === undefined) this.#locks.releaseOne(this, key);
    return row;
  }

  /** The row, where this transaction has locked it already: then nobody needs to be waited for. */
  #own(table: Table, key: string): Row | undefined {
    this.check();
    return this.#locks.ownerOf(key) === this ? this.#now(table, key) : undefined;
  }

  /** Undefined: it has the row. */
  #acquire(key: string): Promise<void> | undefined {
    const wait = this.#locks.acquire(this, key);
    return wait && this.#waiting(wait);
  }

  #changed(key: string): Promise<void> {
    return this.#waiting(this.#locks.changed(this, key));
  }

  async #waiting(wait: Promise<void>): Promise<void> {
    try {
      await wait;
    } catch (error) {
      // What it has done since its savepoint is lost: who waits for it needn't wait any longer.
      this.#hasFailed = true;
      this.#undo(this.#kept);
      throw error;
    }
  }

  /** Goes back to what it had at a savepoint; who waits may look again. */
  #undo({ writes, locks }: { readonly writes: Writes; readonly locks: number }): void {
    this.#writes = new Map(writes);
    this.#locks.release(this, locks);
    this.#locks.undone(this);
  }

  #now(table: Table, key: string): Row | undefined {
    if (this.#writes.size > 0 && this.#writes.has(key)) return this.#writes.get(key);
    return this.#rows.get(table.name, key);
  }

  #isAnothers(key: string): boolean {
    const owner = this.#locks.ownerOf(key);
    return owner !== undefined && owner !== this;
  }

  /** Whether somebody else is changing or removing it at this moment. */
  #isChanging(key: string): boolean {
    const owner = this.#locks.ownerOf(key);
    return owner instanceof Local && owner !== this && owner.#writes.has(key);
  }
}

/** Names of rows: a transaction looks at few, mostly one of a table, and at each many times. */
class Names {
  readonly #latest = new Map<Table, { readonly values: readonly Value[]; readonly name: string }>();

  of(table: Table, row: Row): string {
    const latest = this.#latest.get(table);
    if (latest !== undefined && table.key.every((column, index) => row[column] === latest.values[index])) {
      return latest.name;
    }
    const values = table.key.map((column) => row[column] ?? null);
    const name = `${table.name}\n${JSON.stringify(values.map(toStoredValue))}`;
    this.#latest.set(table, { values, name });
    return name;
  }
}

function inKeyOrder(table: Table, one: Row, other: Row): number {
  const column = table.key.find((name) => one[name] !== other[name]);
  if (column === undefined) return 0;
  return one[column]! < other[column]! ? -1 : 1;
}

const tableOf = (key: string): string => key.slice(0, key.indexOf("\n"));

/** On the disk bytes are `{"base64": …}`. */
type StoredValue = string | number | null | { readonly base64: string };
type StoredRow = Readonly<Record<string, StoredValue>>;

const toStoredValue = (value: Row[string]): StoredValue =>
  value instanceof Uint8Array ? { base64: toBase64(value) } : value;

/** A row without bytes, as nearly every one is, is what is written. */
function toStored(row: Row): StoredRow {
  let stored: Record<string, StoredValue> | undefined;
  for (const column in row) {
    const value = row[column]!;
    if (value instanceof Uint8Array) (stored ??= { ...(row as StoredRow) })[column] = toStoredValue(value);
  }
  return stored ?? (row as StoredRow);
}

function fromStored(stored: StoredRow): Row {
  const entries = Object.entries(stored).map(([column, value]) => {
    return [column, typeof value === "object" && value !== null ? fromBase64(value.base64) : value] as const;
  });
  return Object.fromEntries(entries);
}
