import { Pool, types, type PoolClient } from "pg";

import {
  DataSourceError,
  type DataSource,
  type LocalTransaction,
  type ManyRows,
  type Row,
  type RowFilter,
  type ColumnType,
  type Table,
  type Value,
} from "../ports/data-source.ts";
import type { OpenDataSource } from "../ports/infrastructure.ts";
import { keyOf } from "../transactions/values.ts";

/** How long a connection may take, in milliseconds. */
const connectWithinMs = 3_000;

/**
 * PostgreSQL: "postgres://user:password@127.0.0.1:5432/bank", read committed, through `pg`. What waits for a row waits as long as it
 * takes; PostgreSQL itself ends deadlocks.
 */
export function postgresDataSource(
  dial: (address: string) => string = (address) => address,
): (...connection: Parameters<OpenDataSource>) => Promise<SqlDataSource> {
  return async ({ url, client, tables }) => {
    const { host, port, user, password, database } = parse(url);
    const [dialled, dialledPort] = split(dial(`${host}:${port}`));
    const pool = new Pool({
      ...{ host: dialled, port: dialledPort, user, password, database, application_name: client },
      connectionTimeoutMillis: connectWithinMs,
      // The text of a value is the same for everybody who reads it, and holds all of it.
      options: "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3 -c bytea_output=hex",
      max: 10,
    });
    // A connection that breaks while nobody uses it is replaced by the next use.
    pool.on("error", ignored);
    const dataSource = new Postgres(pool);
    try {
      for (const table of tables) await create(pool, table);
    } catch (error) {
      await pool.end();
      throw toDataSourceError(error);
    }
    return dataSource;
  };
}

/** A database that also takes SQL. */
export type SqlDataSource = DataSource<SqlTransaction>;

export interface SqlTransaction extends LocalTransaction {
  /** One statement of SQL, its values as `$1`, `$2`, …; what comes back is text as PostgreSQL writes it (`decoded` reads it). */
  sql(text: string, values?: readonly unknown[]): Promise<SqlRows>;
}

/** What a statement brought back: each row's columns in order. */
export interface SqlRows {
  readonly columns: readonly { readonly name: string; readonly type: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** How many rows it found or changed. */
  readonly count: number;
}

/** The rows as `pg` gives them to applications: numbers, dates, buffers. */
export function decoded({
  columns,
  rows,
}: Pick<SqlRows, "columns" | "rows">): readonly Readonly<Record<string, unknown>>[] {
  const parsers = columns.map(({ type }) => types.getTypeParser(type) as (text: string) => unknown);
  return rows.map((row) =>
    Object.fromEntries(
      columns.map(({ name }, index) => {
        const text = row[index];
        return [name, text === null || text === undefined ? null : parsers[index]!(text)];
      }),
    ),
  );
}

class Postgres implements SqlDataSource {
  readonly #pool: Pool;
  #isClosed = false;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async transaction<T>(work: (local: SqlTransaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DataSourceError("the database is closed", { code: "CLOSED" });
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw toDataSourceError(error);
    });
    // One that breaks between two statements says so to whoever listens, and ends the process where nobody does; the next statement fails.
    client.on("error", ignored);
    let isBroken = false;
    try {
      await statement(client, "BEGIN");
      const result = await work(new Local(client));
      // PostgreSQL answers the commit of what has failed by rolling it back.
      const { command } = await statement(client, "COMMIT");
      if (command === "ROLLBACK")
        throw new DataSourceError("the transaction has failed, and was rolled back", { code: "FAILED" });
      return result;
    } catch (error) {
      // One that can't be rolled back isn't used again: the server rolls it back as it closes.
      await client.query("ROLLBACK").catch(() => (isBroken = true));
      throw error;
    } finally {
      client.off("error", ignored);
      client.release(isBroken);
    }
  }

  async rows(table: Table, filter: RowFilter = {}): Promise<readonly Row[]> {
    const { sql, values } = meaning(table, filter);
    const text = `SELECT ${columnsOf(table)} FROM ${quotedTable(table)} ${sql}`;
    const found = await this.#pool.query({ text, values, types: asText }).catch(rethrown);
    return found.rows.map((row) => rowOf(table, row as Raw));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#pool.end();
  }
}

class Local implements SqlTransaction {
  readonly #client: PoolClient;
  #savepoints = 0;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  async lock(table: Table, key: Row): Promise<Row | undefined> {
    return (await this.#select(table, keyOf(table, key), "FOR UPDATE"))[0];
  }

  lockEach(table: Table, part: Row): Promise<readonly Row[]> {
    return this.#select(table, part, `ORDER BY ${table.key.map(quoted).join(", ")} FOR UPDATE`);
  }

  async read(table: Table, key: Row): Promise<Row | undefined> {
    return (await this.#select(table, keyOf(table, key), ""))[0];
  }

  async insert(table: Table, row: Row): Promise<Row | undefined> {
    const names = Object.keys(table.columns);
    const places = names.map((_, index) => `$${index + 1}`).join(", ");
    // Also what the database would number by itself is put back as it was.
    const into = `INSERT INTO ${quotedTable(table)} (${columnsOf(table)}) OVERRIDING SYSTEM VALUE`;
    const sql = `${into} VALUES (${places}) ON CONFLICT DO NOTHING ${returning(table, row)}`;
    const values = names.map((name) => row[name] ?? null);
    const { rows } = await statement(this.#client, sql, values);
    return rows.length === 0 ? undefined : writtenRow(table, rows[0] as Raw, row);
  }

  async update(table: Table, row: Row): Promise<Row> {
    const { where, values } = matching(keyOf(table, row));
    const others = Object.keys(table.columns).filter((name) => name in row && !table.key.includes(name));
    // Where nothing is to be set, the row stays what it is.
    const changes = (others.length > 0 ? others : table.key).map((name, index) => {
      return `${quoted(name)} = ${others.length > 0 ? `$${values.length + index + 1}` : quoted(name)}`;
    });
    const sql = `UPDATE ${quotedTable(table)} SET ${changes.join(", ")} WHERE ${where} ${returning(table, row)}`;
    const given = [...values, ...others.map((name) => row[name] ?? null)];
    const { rows } = await statement(this.#client, sql, given);
    if (rows.length !== 1) throw new DataSourceError(`${table.name} has no such row`, { code: "NO_ROW" });
    return writtenRow(table, rows[0] as Raw, row);
  }

  async remove(table: Table, key: Row): Promise<boolean> {
    const { where, values } = matching(keyOf(table, key));
    return (await statement(this.#client, `DELETE FROM ${quotedTable(table)} WHERE ${where}`, values)).rowCount === 1;
  }

  async removeEach(table: Table, keys: readonly Row[]): Promise<void> {
    if (keys.length === 0) return;
    const given = await this.#given(table, keys, table.key);
    await statement(this.#client, `DELETE FROM ${quotedTable(table)} WHERE ${given.isMeant}`, given.values);
  }

  readonly many: ManyRows = {
    lock: async (table, keys) => {
      const given = await this.#given(table, keys, table.key);
      const order = table.key.map(quoted).join(", ");
      const sql = `SELECT ${columnsOf(table)} FROM ${quotedTable(table)} WHERE ${given.isMeant} ORDER BY ${order} FOR UPDATE`;
      const found = await statement(this.#client, sql, given.values);
      const byKey = new Map(found.rows.map((raw) => rowOf(table, raw as Raw)).map((row) => [keyText(table, row), row]));
      return keys.map((key) => byKey.get(keyText(table, key)));
    },
    insert: async (table, rows) => {
      const given = await this.#given(table, rows, Object.keys(table.columns));
      const into = `INSERT INTO ${quotedTable(table)} (${columnsOf(table)}) OVERRIDING SYSTEM VALUE`;
      const sql = `${into} ${given.rows} ON CONFLICT DO NOTHING`;
      return (await statement(this.#client, sql, given.values)).rowCount === rows.length;
    },
    update: async (table, rows) => {
      const others = Object.keys(table.columns).filter((name) => name in rows[0]! && !table.key.includes(name));
      if (others.length === 0) return;
      const given = await this.#given(table, rows, [...table.key, ...others]);
      const changes = others.map((name) => `${quoted(name)} = ${given.of(name)}`);
      const where = table.key.map((name) => `t.${quoted(name)} = ${given.of(name)}`).join(" AND ");
      const sql = `UPDATE ${quotedTable(table)} t SET ${changes.join(", ")} FROM (${given.rows}) given WHERE ${where}`;
      const { rowCount } = await statement(this.#client, sql, given.values);
      if (rowCount !== rows.length) throw new DataSourceError(`${table.name} lacks some rows`, { code: "NO_ROW" });
    },
  };

  /** Whose rows would go, or change, with those that have these keys: by a foreign key that cascades, or sets. */
  async dependents(table: Table, keys: readonly Row[]): Promise<string | undefined> {
    const { rows: references } = await this.sql(referencesSql, [quotedTable(table)]);
    for (const [child, isSelf, from, to] of references) {
      const given = await this.#given(table, keys, table.key);
      const but = isSelf === "t" ? `AND NOT (${table.key.map(quoted).join(", ")}) IN (${given.rows})` : "";
      const sql = `SELECT 1 FROM ${child} WHERE (${from}) IN (SELECT ${to} FROM ${quotedTable(table)} WHERE ${given.isMeant}) ${but} LIMIT 1`;
      if ((await this.sql(sql, given.values)).rows.length > 0) return child!;
    }
    return undefined;
  }

  /** An undo log doesn't say which types its columns have: the database does. */
  async #given(table: Table, rows: readonly Row[], columns: readonly string[]): Promise<Given> {
    const types = new Map(columns.map((column) => [column, sqlTypeOf(table.columns[column]!)]));
    if ([...types.values()].includes("unknown")) {
      const found = await statement(this.#client, columnTypesSql, [quotedTable(table)]);
      for (const { name, type } of found.rows as { name: string; type: string }[]) {
        if (types.get(name) === "unknown") types.set(name, type);
      }
    }
    return new Given(table, rows, types);
  }

  async savepoint<T>(work: () => Promise<T>): Promise<T> {
    const name = `s${++this.#savepoints}`;
    await statement(this.#client, `SAVEPOINT ${name}`);
    try {
      const result = await work();
      await statement(this.#client, `RELEASE SAVEPOINT ${name}`);
      return result;
    } catch (error) {
      await statement(this.#client, `ROLLBACK TO SAVEPOINT ${name}`);
      await statement(this.#client, `RELEASE SAVEPOINT ${name}`);
      throw error;
    }
  }

  async sql(text: string, values: readonly unknown[] = []): Promise<SqlRows> {
    const found = await this.#client
      .query<(string | null)[]>({ text, values: [...values], types: asText, rowMode: "array" })
      .catch(rethrown);
    const columns = found.fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }));
    return { columns, rows: found.rows, count: found.rowCount ?? 0 };
  }

  async #select(table: Table, wanted: Row, how: string): Promise<readonly Row[]> {
    const { where, values } = matching(wanted);
    const sql = `SELECT ${columnsOf(table)} FROM ${quotedTable(table)} WHERE ${where} ${how}`;
    return (await statement(this.#client, sql, values)).rows.map((row) => rowOf(table, row as Raw));
  }
}

type Raw = Readonly<Record<string, string | null>>;

/** Without lengths and precisions: what is too long for a column is refused, as where it is set without a cast. */
const columnTypesSql = `
SELECT attname AS name, format_type(atttypid, -1) AS type FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`;

/** Tables that refer to one by a foreign key which changes them with it: their columns, and those that they refer to. */
const referencesSql = `
SELECT conrelid::regclass::text, conrelid = confrelid,
  (SELECT string_agg(quote_ident(attname), ', ' ORDER BY place) FROM unnest(conkey) WITH ORDINALITY k (number, place)
    JOIN pg_attribute ON attrelid = conrelid AND attnum = number),
  (SELECT string_agg(quote_ident(attname), ', ' ORDER BY place) FROM unnest(confkey) WITH ORDINALITY k (number, place)
    JOIN pg_attribute ON attrelid = confrelid AND attnum = number)
FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass($1) AND confdeltype IN ('c', 'n', 'd')`;

/** Rows as parameters, an array of texts for each column: a statement has 65,535 at most, and may mean more rows. */
export class Given {
  readonly values: readonly (readonly (string | null)[])[];
  /** A query of them, each column as its table has it. */
  readonly rows: string;
  /** The condition that a row's key is among theirs. */
  readonly isMeant: string;
  readonly #names: ReadonlyMap<string, string>;

  /**
   * `types`: of the columns that are given, PostgreSQL's. `before`: parameters that the statement has besides, ahead of these. Default 0.
   */
  constructor(table: Table, rows: readonly Row[], types: ReadonlyMap<string, string>, before = 0) {
    const columns = [...types.keys()];
    this.#names = new Map(columns.map((column, place) => [column, `g${place}`]));
    this.values = columns.map((column) => rows.map((row) => textOfValue(row[column] ?? null)));
    const names = [...this.#names.values()];
    const typed = columns.map((column, at) => `${names[at]}::${types.get(column)!} AS ${names[at]}`);
    const arrays = columns.map((_, at) => `$${before + at + 1}::text[]`);
    this.rows = `SELECT ${typed.join(", ")} FROM unnest(${arrays.join(", ")}) AS g (${names.join(", ")})`;
    this.isMeant = `(${table.key.map(quoted).join(", ")}) IN (${this.rows})`;
  }

  /** What `rows` calls a column, under the name "given". */
  of(column: string): string {
    return `given.${this.#names.get(column)}`;
  }
}

/** As PostgreSQL writes it. */
const textOfValue = (value: Value): string | null =>
  value instanceof Uint8Array
    ? `\\x${Buffer.from(value).toString("hex")}`
    : typeof value === "number"
      ? String(value)
      : value;

/** Names a row within its table. */
export const keyText = (table: Table, row: Row): string =>
  JSON.stringify(table.key.map((column) => textOfValue(row[column] ?? null)));

async function create(pool: Pool, table: Table): Promise<void> {
  const columns = Object.entries(table.columns).map(([name, type]) => `${quoted(name)} ${sqlTypeOf(type)}`);
  const key = table.key.map(quoted).join(", ");
  const sql = `CREATE TABLE IF NOT EXISTS ${quotedTable(table)} (${columns.join(", ")}, PRIMARY KEY (${key}))`;
  // Two who make it at the same time meet in the catalogue, although they said "if not exists": the second look finds it.
  await pool.query(sql).catch((error: unknown) => {
    if (!["23505", "42P07"].includes(codeOf(error) ?? "")) throw error;
    return pool.query(sql);
  });
}

const sqlTypes = { text: "TEXT", integer: "BIGINT", bytes: "BYTEA" };

/** PostgreSQL's name for it. */
export const sqlTypeOf = (type: ColumnType): string => (typeof type === "string" ? sqlTypes[type] : type.sql);

/** Values come as PostgreSQL's text: what they are is the table's word. */
const asText = { getTypeParser: () => (text: string) => text };

type Parameter = Value | readonly (string | null)[];

async function statement(client: PoolClient, text: string, values: readonly Parameter[] = []) {
  return client.query({ text, values: values.map(toParameter), types: asText }).catch(rethrown);
}

const toParameter = (value: Parameter): Exclude<Parameter, Uint8Array> | Buffer =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;

function matching(wanted: Row): { readonly where: string; readonly values: readonly Value[] } {
  return {
    where: Object.keys(wanted)
      .map((name, index) => `${quoted(name)} = $${index + 1}`)
      .join(" AND "),
    values: Object.values(wanted),
  };
}

function meaning(
  { key }: Table,
  { among = {}, atMost = {}, after, max }: RowFilter,
): { readonly sql: string; readonly values: unknown[] } {
  const values: unknown[] = [];
  const parameter = (value: Value): string => `$${values.push(toParameter(value))}`;
  const wanted = [
    ...Object.entries(among).map(([column, all]) => {
      const listed = all.filter((value) => value !== null).map(parameter);
      const isListed = listed.length === 0 ? "false" : `${quoted(column)} IN (${listed.join(", ")})`;
      return all.includes(null) ? `(${quoted(column)} IS NULL OR ${isListed})` : isListed;
    }),
    ...Object.entries(atMost).map(([column, bound]) => `${quoted(column)} <= ${parameter(bound)}`),
  ];
  const keys = key.map(quoted).join(", ");
  if (after !== undefined && Object.keys(after).length > 0) {
    wanted.push(`(${keys}) > (${key.map((column) => parameter(after[column] ?? null)).join(", ")})`);
  }
  const where = wanted.length === 0 ? "" : `WHERE ${wanted.join(" AND ")}`;
  const ordered = after === undefined ? where : `${where} ORDER BY ${keys}`;
  return { sql: max === undefined ? ordered : `${ordered} LIMIT ${parameter(max)}`, values };
}

const columnsOf = (table: Table): string => Object.keys(table.columns).map(quoted).join(", ");

const quotedTable = ({ name }: Table): string => name.split(".").map(quoted).join(".");

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** BIGINT comes as text: not every one fits a number, but those that we wrote do. */
export function rowOf(table: Table, raw: Raw): Row {
  const entries = Object.entries(table.columns).map(
    ([name, type]) => [name, valueOf(type, raw[name] ?? null)] as const,
  );
  return Object.fromEntries(entries);
}

/** So that a write answers what is there then. Bytes that were given needn't come back; a key does, since something has to. */
function returning(table: Table, given: Row): string {
  const wanted = Object.entries(table.columns).filter(
    ([name, type]) => type !== "bytes" || table.key.includes(name) || !Object.hasOwn(given, name),
  );
  return `RETURNING ${wanted.map(([name]) => quoted(name)).join(", ")}`;
}

/** What a write has left, from what came back and what was given. */
function writtenRow(table: Table, raw: Raw, given: Row): Row {
  const entries = Object.entries(table.columns).map(([name, type]) => {
    return [name, Object.hasOwn(raw, name) ? valueOf(type, raw[name]!) : (given[name] ?? null)] as const;
  });
  return Object.fromEntries(entries);
}

function valueOf(type: ColumnType, text: string | null): Value {
  if (text === null) return null;
  if (type === "integer") return Number(text);
  return type === "bytes" ? new Uint8Array(Buffer.from(text.slice(2), "hex")) : text;
}

function rethrown(error: unknown): never {
  throw toDataSourceError(error);
}

const ignored = (): void => undefined;

const codeOf = (error: unknown): string | undefined => (error as { readonly code?: string } | null)?.code;

/**
 * PostgreSQL's deadlocks; what a value, a constraint, a definition or a trigger forbids (classes 22, 23, 42 and 44, 55000 and P0001); what
 * concerns the connection (classes 08, 53 and 57, and what isn't a SQLSTATE, but not 08P01: a statement that the protocol can't carry); the
 * rest.
 */
function toDataSourceError(error: unknown): DataSourceError {
  if (error instanceof DataSourceError) return error;
  const state = codeOf(error);
  const isSql = state !== undefined && /^[0-9A-Z]{5}$/.test(state);
  const message = error instanceof Error ? error.message : String(error);
  return new DataSourceError(`PostgreSQL: ${message}${isSql ? ` (${state})` : ""}`, {
    code: isSql ? codeOfState(state) : "UNAVAILABLE",
    cause: error,
  });
}

function codeOfState(state: string): DataSourceError["code"] {
  if (state === "40P01") return "DEADLOCK";
  if (/^(22|23|42|44)/.test(state) || ["P0001", "55000"].includes(state)) return "REFUSED";
  return /^(08(?!P01)|53|57)/.test(state) ? "UNAVAILABLE" : "FAILED";
}

function parse(
  url: string,
): Readonly<Record<"host" | "user" | "password" | "database", string>> & { readonly port: number } {
  const parsed = URL.parse(url);
  const database = parsed?.pathname.slice(1) ?? "";
  if (parsed === null || parsed.hostname === "" || parsed.username === "" || database === "" || parsed.search !== "") {
    throw new DataSourceError(`no URL of a database; write "postgres://user:password@127.0.0.1:5432/bank"`, {
      code: "FAILED",
    });
  }
  const { hostname, port, username, password } = parsed;
  return {
    host: hostname,
    port: port === "" ? 5432 : Number(port),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(database),
  };
}

function split(address: string): readonly [host: string, port: number] {
  const colon = address.lastIndexOf(":");
  return [address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), Number(address.slice(colon + 1))];
}
