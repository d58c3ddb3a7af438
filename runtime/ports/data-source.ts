/** A value in a row: what every database stores alike. Integers are safe ones. */
export type Value = string | number | null;

export type Row = Readonly<Record<string, Value>>;

/** A table, made when it isn't there. */
export interface Table {
  readonly name: string;
  /** Its columns; those of the key are never null. */
  readonly columns: Readonly<Record<string, "text" | "integer">>;
  /** The columns of its primary key. */
  readonly key: readonly string[];
}

/**
 * One local database, as a resource manager uses it: transactions with row locks that are held to their end, reading what is committed.
 * Statements are values; what they do is the same in our row store and in PostgreSQL.
 */
export interface DataSource {
  /**
   * Runs `work` in one transaction and commits it; a rejection rolls it back and is passed on. Rejects with a `DataSourceError`:
   * `DEADLOCK` is worth another try.
   */
  transaction<T>(work: (local: LocalTransaction) => Promise<T>): Promise<T>;
  /** Every row of a table, as it is committed; the order is the database's own. */
  rows(table: Table): Promise<readonly Row[]>;
  close(): Promise<void>;
}

/** A transaction that is under way. One statement at a time. */
export interface LocalTransaction {
  /** The row with this key, locked until the end; waits for whoever has it. Undefined when there is none. */
  lock(table: Table, key: Row): Promise<Row | undefined>;
  /** Adds a row; false when its key is taken, after waiting for whoever is adding it. */
  insert(table: Table, row: Row): Promise<boolean>;
  /** Replaces a row that is there. */
  update(table: Table, row: Row): Promise<void>;
}

/** A database that couldn't do it. */
export class DataSourceError extends Error {
  override readonly name = "DataSourceError";
  /** `DEADLOCK`: two wait for each other, and this one gave way. `NO_ROW`: there is nothing to update. `UNAVAILABLE`: it is away, or full. */
  readonly code: "DEADLOCK" | "NO_ROW" | "UNAVAILABLE" | "CLOSED" | "FAILED";

  constructor(message: string, options: { readonly code: DataSourceError["code"]; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
  }
}
