import { Pool, type PoolClient } from "pg";

import {
  DataSourceError,
  type DataSource,
  type LocalTransaction,
  type Row,
  type Table,
  type Value,
} from "../ports/data-source.ts";
import type { OpenDataSource } from "../ports/infrastructure.ts";

/** How long a connection may take, in milliseconds. */
const connectWithinMs = 3_000;

/**
 * PostgreSQL: "postgres://user:password@127.0.0.1:5432/bank", read committed, through `pg`. What waits for a row waits as long as it
 * takes; PostgreSQL itself ends deadlocks.
 */
export function postgresDataSource(dial: (address: string) => string = (address) => address): OpenDataSource {
  return async ({ url, client, tables }) => {
    const { host, port, user, password, database } = parse(url);
    const [dialled, dialledPort] = split(dial(`${host}:${port}`));
    const pool = new Pool({
      ...{ host: dialled, port: dialledPort, user, password, database, application_name: client },
      connectionTimeoutMillis: connectWithinMs,
      max: 10,
    });
    // A connection that breaks while nobody uses it is replaced by the next use.
    pool.on("error", () => undefined);
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

class Postgres implements DataSource {
  readonly #pool: Pool;
  #isClosed = false;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async transaction<T>(work: (local: LocalTransaction) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DataSourceError("the database is closed", { code: "CLOSED" });
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw toDataSourceError(error);
    });
    let isBroken = false;
    try {
      await statement(client, "BEGIN");
      const result = await work(new Local(client));
      await statement(client, "COMMIT");
      return result;
    } catch (error) {
      // One that can't be rolled back isn't used again: the server rolls it back as it closes.
      await client.query("ROLLBACK").catch(() => (isBroken = true));
      throw error;
    } finally {
      client.release(isBroken);
    }
  }

  async rows(table: Table): Promise<readonly Row[]> {
    const found = await this.#pool.query(`SELECT ${columnsOf(table)} FROM ${quoted(table.name)}`).catch(rethrown);
    return found.rows.map((row) => rowOf(table, row as Raw));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#pool.end();
  }
}

class Local implements LocalTransaction {
  readonly #client: PoolClient;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  async lock(table: Table, key: Row): Promise<Row | undefined> {
    const { where, values } = keyOf(table, key);
    const sql = `SELECT ${columnsOf(table)} FROM ${quoted(table.name)} WHERE ${where} FOR UPDATE`;
    const found = await statement(this.#client, sql, values);
    return found.rows.length === 0 ? undefined : rowOf(table, found.rows[0] as Raw);
  }

  async insert(table: Table, row: Row): Promise<boolean> {
    const names = Object.keys(table.columns);
    const places = names.map((_, index) => `$${index + 1}`).join(", ");
    const sql = `INSERT INTO ${quoted(table.name)} (${columnsOf(table)}) VALUES (${places}) ON CONFLICT DO NOTHING`;
    const { rowCount } = await statement(
      this.#client,
      sql,
      names.map((name) => row[name] ?? null),
    );
    return rowCount === 1;
  }

  async update(table: Table, row: Row): Promise<void> {
    const { where, values } = keyOf(table, row);
    const others = Object.keys(table.columns).filter((name) => !table.key.includes(name));
    const changes = others.map((name, index) => `${quoted(name)} = $${values.length + index + 1}`).join(", ");
    const sql = `UPDATE ${quoted(table.name)} SET ${changes} WHERE ${where}`;
    const { rowCount } = await statement(this.#client, sql, [...values, ...others.map((name) => row[name] ?? null)]);
    if (rowCount !== 1) throw new DataSourceError(`${table.name} has no such row`, { code: "NO_ROW" });
  }
}

type Raw = Readonly<Record<string, unknown>>;

async function create(pool: Pool, table: Table): Promise<void> {
  const columns = Object.entries(table.columns).map(([name, type]) => {
    return `${quoted(name)} ${type === "integer" ? "BIGINT" : "TEXT"}`;
  });
  const key = table.key.map(quoted).join(", ");
  const sql = `CREATE TABLE IF NOT EXISTS ${quoted(table.name)} (${columns.join(", ")}, PRIMARY KEY (${key}))`;
  // Two who make it at the same time meet in the catalogue, although they said "if not exists": the second look finds it.
  await pool.query(sql).catch((error: unknown) => {
    if (!["23505", "42P07"].includes(codeOf(error) ?? "")) throw error;
    return pool.query(sql);
  });
}

async function statement(client: PoolClient, sql: string, values: readonly Value[] = []) {
  return client.query(sql, [...values]).catch(rethrown);
}

function keyOf(table: Table, row: Row): { readonly where: string; readonly values: readonly Value[] } {
  return {
    where: table.key.map((name, index) => `${quoted(name)} = $${index + 1}`).join(" AND "),
    values: table.key.map((name) => row[name] ?? null),
  };
}

const columnsOf = (table: Table): string => Object.keys(table.columns).map(quoted).join(", ");

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** BIGINT comes as text: not every one fits a number, but those that we wrote do. */
function rowOf(table: Table, raw: Raw): Row {
  const entries = Object.entries(table.columns).map(([name, type]) => {
    const value = raw[name];
    if (value === null || value === undefined) return [name, null] as const;
    return [name, type === "integer" ? Number(value) : (value as string)] as const;
  });
  return Object.fromEntries(entries);
}

function rethrown(error: unknown): never {
  throw toDataSourceError(error);
}

const codeOf = (error: unknown): string | undefined => (error as { readonly code?: string } | null)?.code;

/** PostgreSQL's deadlocks; what concerns the connection (classes 08, 53 and 57, and what isn't a SQLSTATE); the rest. */
function toDataSourceError(error: unknown): DataSourceError {
  if (error instanceof DataSourceError) return error;
  const state = codeOf(error);
  const isSql = state !== undefined && /^[0-9A-Z]{5}$/.test(state);
  const isAway = !isSql || /^(08|53|57)/.test(state);
  const code = state === "40P01" ? "DEADLOCK" : isAway ? "UNAVAILABLE" : "FAILED";
  const message = error instanceof Error ? error.message : String(error);
  return new DataSourceError(`PostgreSQL: ${message}${isSql ? ` (${state})` : ""}`, { code, cause: error });
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
