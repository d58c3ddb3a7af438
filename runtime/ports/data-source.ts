/** A value in a row: what every database stores alike. Integers are safe ones; bytes are a blob. */
export type Value = string | number | Uint8Array | null;

export type Row = Readonly<Record<string, Value>>;

/**
 * `{ sql }` is a type of the database's own ("numeric(12,2)"): its values are that database's text for them, and nothing is lost on the
 * way.
 */
export type ColumnType = "text" | "integer" | "bytes" | { readonly sql: string };

/** A table, made when it isn't there. */
export interface Table {
  /** In another schema than the usual one: "schema.table". */
  readonly name: string;
  /** Its columns; those of the key are never null. */
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** The columns of its primary key. */
  readonly key: readonly string[];
}

/** Which rows of a table are meant: those to which all of it applies. */
export interface RowFilter {
  /** Columns that have one of these values. */
  readonly among?: Readonly<Record<string, readonly Value[]>>;
  /** Columns whose value isn't null, and this or less. */
  readonly atMost?: Row;
  /**
   * Those that come after the row with this key, `{}`: from the first one on; in the key's order, which is the database's own. Default:
   * in any order.
   */
  readonly after?: Row;
  /** So many of them at most. Default: all. */
  readonly max?: number;
}

/**
 * One local database, as a resource manager uses it: transactions with row locks that are held to their end, reading what is committed.
 * Statements are values; what they do is the same in our row store and in PostgreSQL.
 */
export interface DataSource<Local extends LocalTransaction = LocalTransaction> {
  /**
   * Runs `work` in one transaction and commits it; a rejection rolls it back and is passed on. Rejects with a `DataSourceError`:
   * `DEADLOCK` is worth another try. What failed can't be committed, also where `work` thinks nothing of it.
   */
  transaction<T>(work: (local: Local) => Promise<T>): Promise<T>;
  /** Every row of a table, or those that are meant, as they are committed; the order is the database's own. */
  rows(table: Table, filter?: RowFilter): Promise<readonly Row[]>;
  close(): Promise<void>;
}

/** A transaction that is under way. One statement at a time. After a `DEADLOCK` all that it takes is to be rolled back. */
export interface LocalTransaction {
  /** The row with this key, locked until the end; waits for whoever has it. Undefined when there is none. */
  lock(table: Table, key: Row): Promise<Row | undefined>;
  /** Every row whose key has these values in its columns, in the key's order, locked as by `lock`. */
  lockEach(table: Table, part: Row): Promise<readonly Row[]>;
  /** The row with this key as this transaction has left it, else as it is committed; waits for nobody. */
  read(table: Table, key: Row): Promise<Row | undefined>;
  /**
   * Adds a row; answers it as the database has it then. Undefined when its key is taken, after waiting for whoever is adding, changing or
   * removing it.
   */
  insert(table: Table, row: Row): Promise<Row | undefined>;
  /** Sets those columns that are given, of a row that is there; answers the row as the database has it then. */
  update(table: Table, row: Row): Promise<Row>;
  /** Removes the row with this key; false when there is none. */
  remove(table: Table, key: Row): Promise<boolean>;
  /** Removes those of the rows with these keys that are there. */
  removeEach(table: Table, keys: readonly Row[]): Promise<void>;
  /**
   * A table with rows that would go, or change, together with those that have these keys and are locked; those rows themselves don't
   * count. Undefined: there is none. Absent: no table of this database refers to another.
   */
  dependents?(table: Table, keys: readonly Row[]): Promise<string | undefined>;
  /** Other statements for many rows at once, where the database has them. Default: one by one. */
  readonly many?: ManyRows | undefined;
  /** Runs `work`; a rejection undoes what it wrote, lets go of the rows that it locked, and is passed on. */
  savepoint<T>(work: () => Promise<T>): Promise<T>;
}

/** What a database does to many rows of a table with one statement. */
export interface ManyRows {
  /** As `lock`, for each of the keys. */
  lock(table: Table, keys: readonly Row[]): Promise<readonly (Row | undefined)[]>;
  /** Adds them; false when a key is taken: then some have been added all the same. */
  insert(table: Table, rows: readonly Row[]): Promise<boolean>;
  /** Sets what is given, the same columns of each row. */
  update(table: Table, rows: readonly Row[]): Promise<void>;
}

/** A database that couldn't do it. */
export class DataSourceError extends Error {
  override readonly name = "DataSourceError";
  /**
   * `DEADLOCK`: two wait for each other, and this one gave way. `NO_ROW`: there is nothing to update. `REFUSED`: a constraint, or the
   * tables as they are, don't allow it. `UNAVAILABLE`: it is away, or full.
   */
  readonly code: "DEADLOCK" | "NO_ROW" | "REFUSED" | "UNAVAILABLE" | "CLOSED" | "FAILED";

  constructor(message: string, options: { readonly code: DataSourceError["code"]; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
  }
}

/** Whether asking again would be of no use: somebody has to change the rows, or the tables, first. */
export const isRefused = (error: unknown): error is DataSourceError =>
  error instanceof DataSourceError && error.code === "REFUSED";

/** Whether a commit that failed so may have been done all the same: the database didn't say no, it didn't say anything. */
export const isUnanswered = (error: unknown): boolean =>
  !(error instanceof DataSourceError) || error.code === "UNAVAILABLE";
