import type { Clock } from "../../ports/clock.ts";
import type { Row, Table } from "../../ports/data-source.ts";
import type { AtResource, AtScope } from "../../transactions/at/at.ts";
import { rowKey, type AtBranch } from "../../transactions/at/branch.ts";
import type { ChangedRow } from "../../transactions/at/undo-log.ts";
import { decoded, Given, keyText, quoted, rowOf, sqlTypeOf, type SqlRows, type SqlTransaction } from "../postgres.ts";
import { Catalog, relationText, rowName } from "./catalog.ts";
import { checkValues, parseStatement, unsupported, type Changing, type Inserting, type Locking } from "./statement.ts";
import { SqlText } from "./text.ts";

/** What a statement brought back: rows as `pg` gives them, and how many it found or changed. */
export interface QueryResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly count: number;
}

/** SQL within a local transaction that is a branch of AT. */
export interface SqlStatements {
  /**
   * One statement, its values as `$1`, `$2`, …. `SELECT … FOR UPDATE` also waits for the global locks of its rows. Rejects with a
   * `TransactionError`: `UnsupportedStatement`, with the reason, for what AT couldn't undo: then nothing was done.
   */
  query(text: string, values?: readonly unknown[]): Promise<QueryResult>;
  savepoint<T>(work: () => Promise<T>): Promise<T>;
}

/** PostgreSQL in AT mode, by SQL. What it refuses: docs/at.md. */
export class AtSql {
  readonly #resource: AtResource<SqlTransaction>;
  readonly #catalog: Catalog;

  constructor(resource: AtResource<SqlTransaction>, { clock }: { readonly clock: Clock }) {
    this.#resource = resource;
    this.#catalog = new Catalog(clock);
  }

  /** As `AtResource.transaction`. */
  transaction<T>(scope: AtScope, work: (local: SqlStatements) => Promise<T>): Promise<T> {
    return this.#resource.run(scope, (local, branch) =>
      work(branch === undefined ? plain(local) : new BranchStatements(local, branch, this.#catalog)),
    );
  }
}

const plain = (local: SqlTransaction): SqlStatements => ({
  query: async (text, values) => resultOf(await local.sql(text, values)),
  savepoint: (work) => local.savepoint(work),
});

class BranchStatements implements SqlStatements {
  readonly #local: SqlTransaction;
  readonly #branch: AtBranch;
  readonly #catalog: Catalog;

  constructor(local: SqlTransaction, branch: AtBranch, catalog: Catalog) {
    this.#local = local;
    this.#branch = branch;
    this.#catalog = catalog;
  }

  async query(text: string, values: readonly unknown[] = []): Promise<QueryResult> {
    const statement = await parseStatement(text);
    checkValues(statement, values);
    await this.#catalog.checkCalls(this.#local, statement);
    if (statement.kind === "read") return resultOf(await this.#local.sql(text, values));
    const table = await this.#catalog.tableOf(this.#local, statement);
    if (statement.kind === "lock") return this.#lock(statement, table, values);
    return statement.kind === "insert" ? this.#insert(statement, values) : this.#change(statement, values);
  }

  savepoint<T>(work: () => Promise<T>): Promise<T> {
    return this.#branch.savepoint(this.#local, work);
  }

  #lock(
    { relation, columns, from, hasColumns }: Locking,
    table: Table,
    values: readonly unknown[],
  ): Promise<QueryResult> {
    const sql = new SqlText(values)
      .slice(columns)
      .add(hasColumns ? ", " : " ")
      // Under names that nobody orders by.
      .add(table.key.map((column, place) => `${rowName(relation)}.${quoted(column)} AS "flyball ${place}"`).join(", "))
      .add(" ")
      .slice(from);
    return this.#branch.reading(this.#local, async () => {
      const [result, rows] = divided(await this.#run(sql), table, table.key);
      return { result: resultOf(result), rows: rows.map((row) => rowKey(table, row)) };
    });
  }

  async #insert(statement: Inserting, values: readonly unknown[]): Promise<QueryResult> {
    const { relation, body, returning } = statement;
    const sql = new SqlText(values).slice(body).add(" RETURNING ");
    if (returning !== undefined) sql.slice(returning).add(", ");
    // All of its columns, whichever they are: the definition that is known may be a minute old.
    const found = await this.#run(sql.add(`NULL AS "${divider}", ${rowName(relation)}.*`));
    const at = found.columns.findLastIndex(({ name }) => name === divider);
    const names = found.columns.slice(at + 1).map(({ name }) => name);
    const table = await this.#catalog.withColumns(this.#local, statement, names);
    const [result, rows] = divided(found, table, names);
    this.#branch.record({ sqlType: "INSERT", table, rows: rows.map((after) => ({ before: undefined, after })) });
    return resultOf(firstColumns(result, at));
  }

  /**
   * The condition is asked once, under the rows' locks; what is then changed are those rows, by their keys: others that have come to meet
   * it in the meantime would be in no image.
   */
  async #change(statement: Changing, values: readonly unknown[]): Promise<QueryResult> {
    const { kind, relation, body, where, returning } = statement;
    const wanted = new SqlText(values).add(`SELECT ${rowName(relation)}.* FROM ${relationText(relation)}`);
    if (where !== undefined) wanted.add(" WHERE ").slice(where);
    const found = await this.#run(wanted.add(" FOR UPDATE"));
    const names = found.columns.map(({ name }) => name);
    // From here on nobody can alter the table until this transaction is over.
    await this.#catalog.withColumns(this.#local, statement, names);
    const table = await this.#catalog.tableOf(this.#local, statement);
    const [, before] = divided(found, table, names);
    const sql = new SqlText(values).slice(body).add(" WHERE ");
    if (before.length === 0) sql.add("false");
    else keyIn(sql, table, before);
    sql.add(" RETURNING ");
    if (returning !== undefined) sql.slice(returning).add(", ");
    const [result, after] = divided(await this.#run(sql.add(list(Object.keys(table.columns)))), table);
    this.#branch.record({
      sqlType: kind === "update" ? "UPDATE" : "DELETE",
      table,
      rows: changed(kind, table, before, after),
    });
    return resultOf(result);
  }

  #run({ text, values }: SqlText): Promise<SqlRows> {
    return this.#local.sql(text, values);
  }
}

function keyIn(sql: SqlText, table: Table, rows: readonly Row[]): void {
  const types = new Map(table.key.map((column) => [column, sqlTypeOf(table.columns[column]!)]));
  const given = new Given(table, rows, types, sql.values.length);
  sql.add(given.isMeant).values.push(...given.values);
}

function changed(
  kind: Changing["kind"],
  table: Table,
  before: readonly Row[],
  after: readonly Row[],
): readonly ChangedRow[] {
  if (after.length !== before.length)
    throw unsupported(`it found ${before.length} rows of ${table.name} and changed ${after.length}`);
  if (kind === "delete") return before.map((row) => ({ before: row, after: undefined }));
  const byKey = new Map(after.map((row) => [keyText(table, row), row]));
  return before.map((row) => {
    const left = byKey.get(keyText(table, row));
    if (left === undefined) throw unsupported(`it changes the primary key of ${table.name}`);
    return { before: row, after: left };
  });
}

/** What was asked for, and the columns that AT asked for after them. */
function divided(
  { columns, rows, count }: SqlRows,
  table: Table,
  names: readonly string[] = Object.keys(table.columns),
): readonly [SqlRows, readonly Row[]] {
  const at = columns.length - names.length;
  const own = rows.map((row) => rowOf(table, Object.fromEntries(names.map((name, index) => [name, row[at + index]!]))));
  return [firstColumns({ columns, rows, count }, at), own];
}

/** Where none are left, there are no rows to speak of. */
const firstColumns = ({ columns, rows, count }: SqlRows, at: number): SqlRows => ({
  ...{ columns: columns.slice(0, at), rows: at === 0 ? [] : rows.map((row) => row.slice(0, at)), count },
});

/** Between what a statement returns and what AT has it return. */
const divider = "flyball";

const resultOf = (rows: SqlRows): QueryResult => ({ rows: decoded(rows), count: rows.count });

const list = (columns: readonly string[]): string => columns.map(quoted).join(", ");
