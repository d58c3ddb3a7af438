import type { Clock } from "../../ports/clock.ts";
import type { Table } from "../../ports/data-source.ts";
import { undoTable } from "../../transactions/at/undo-log.ts";
import { fenceTable } from "../../transactions/tcc/fence.ts";
import { quoted, type SqlTransaction } from "../postgres.ts";
import {
  unsupported,
  type Changing,
  type Inserting,
  type Locking,
  type Relation,
  type Statement,
} from "./statement.ts";

/** After so long a table's definition is looked up again (Seata's `client.rm.tableMetaCheckerInterval`). */
const keptUs = 60_000_000;

/** What AT has to know of a table. */
interface Definition {
  readonly table: Table;
  /** Why its rows can't be undone; undefined: they can. */
  readonly obstacle: string | undefined;
  /** Columns that others refer to, and what happens there when a row of this one goes, or such a column changes. */
  readonly references: readonly {
    readonly columns: readonly string[];
    readonly on: readonly ("delete" | "update")[];
  }[];
}

/** The tables and functions of a database, as its catalogue has them. */
export class Catalog {
  readonly #clock: Clock;
  readonly #tables = new Map<string, { readonly definition: Definition; readonly untilUs: number }>();
  readonly #functions = new Map<string, { readonly isVolatile: boolean; readonly isOfManyRows: boolean }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The table of a statement. Throws a `TransactionError`: `UnsupportedStatement` when AT couldn't undo what it does there. */
  async tableOf(local: SqlTransaction, statement: Locking | Inserting | Changing): Promise<Table> {
    const { table, obstacle, references } = await this.#definitionOf(local, statement.relation);
    if (obstacle !== undefined) throw unsupported(obstacle);
    if (ownTables.has(table.name)) throw unsupported(`${table.name} is what it undoes by`, "leave it alone");
    if (statement.kind !== "update" && statement.kind !== "delete") return table;
    const { kind, sets } = statement;
    const key = sets.find((column) => table.key.includes(column));
    if (key !== undefined)
      throw unsupported(`it changes ${key}, of the primary key of ${table.name}`, "remove the row and add another");
    const reached = references.find(({ on, columns }) => {
      return on.includes(kind) && (kind === "delete" || columns.some((column) => sets.includes(column)));
    });
    if (reached !== undefined)
      throw unsupported(`a foreign key to ${table.name} changes rows of another table with it`);
    return table;
  }

  /**
   * Throws a `TransactionError`: `UnsupportedStatement` when the statement calls what may change rows unseen, or mean other rows the next
   * time: a volatile function, but for the built-in ones that only make values; or when it locks rows, and says of many of them one thing.
   */
  async checkCalls(local: SqlTransaction, { kind, calls }: Statement): Promise<void> {
    const unknown = calls.map(({ name }) => name).filter((name) => !this.#functions.has(name));
    if (unknown.length > 0) {
      const { rows } = await local.sql(functionsSql, [unknown]);
      const found = new Map(rows.map(([name, isVolatile, isOfManyRows]) => [name, { isVolatile, isOfManyRows }]));
      for (const name of unknown) {
        const { isVolatile, isOfManyRows } = found.get(name) ?? {};
        this.#functions.set(name, { isVolatile: isVolatile === "t", isOfManyRows: isOfManyRows === "t" });
      }
    }
    for (const { name, isInPredicate } of calls) {
      const { isVolatile, isOfManyRows } = this.#functions.get(name)!;
      if (kind === "lock" && isOfManyRows) {
        throw unsupported(
          `${name}() of rows that are locked doesn't tell which rows those are`,
          "select the rows FOR UPDATE, and reckon with them afterwards",
        );
      }
      if (!isVolatile) continue;
      if (isInPredicate) throw unsupported(`${name}() in its condition may mean other rows the next time`);
      if (!makesValues.has(name)) throw unsupported(`${name}() may change rows, and nobody sees which`);
    }
  }

  async #definitionOf(local: SqlTransaction, relation: Relation): Promise<Definition> {
    const name = nameOf(relation);
    const known = this.#tables.get(name);
    if (known !== undefined && known.untilUs > this.#clock.nowUs()) return known.definition;
    const text = (await local.sql(definitionSql, [name])).rows[0]?.[0];
    if (text === undefined || text === null) throw unsupported(`there is no table ${name}`);
    const definition = toDefinition(JSON.parse(text) as RawDefinition);
    this.#tables.set(name, { definition, untilUs: this.#clock.nowUs() + keptUs });
    return definition;
  }
}

/** Of each name among those given: whether one such function is volatile, and whether one is an aggregate or of a window. */
const functionsSql = `
SELECT proname, bool_or(provolatile = 'v'), bool_or(prokind IN ('a', 'w')) FROM pg_proc WHERE proname = ANY ($1) GROUP BY proname`;

const makesValues = new Set([
  ...["random", "clock_timestamp", "timeofday", "gen_random_uuid", "nextval", "currval", "lastval"],
]);

const nameOf = ({ schema, name }: Relation): string =>
  (schema === undefined ? "" : `${quoted(schema)}.`) + quoted(name);

/** The relation as a FROM clause names it. */
export function relationText(relation: Relation): string {
  const { alias, isOnly } = relation;
  return `${isOnly ? "ONLY " : ""}${nameOf(relation)}${alias === undefined ? "" : ` AS ${quoted(alias)}`}`;
}

interface RawDefinition {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly generated: string }[];
  readonly key: readonly string[] | null;
  readonly triggers: readonly string[] | null;
  readonly rules: readonly string[] | null;
  readonly isParent: boolean;
  readonly references:
    readonly { readonly columns: readonly string[]; readonly del: string; readonly upd: string }[] | null;
}

const definitionSql = `
SELECT json_build_object(
  'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'columns', (SELECT json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'generated', a.attgenerated) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'key', (SELECT json_agg(a.attname ORDER BY k.place)
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, place), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum),
  'triggers', (SELECT json_agg(tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D'),
  'rules', (SELECT json_agg(rulename) FROM pg_rewrite WHERE ev_class = c.oid),
  'isParent', EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid),
  'references', (SELECT json_agg(json_build_object(
      'columns', (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (f.confkey)),
      'del', f.confdeltype, 'upd', f.confupdtype))
    FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid))::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`;

function toDefinition(raw: RawDefinition): Definition {
  const name = raw.schema === "public" ? raw.name : `${raw.schema}.${raw.name}`;
  // What is generated comes back by itself.
  const columns = raw.columns.filter(({ generated }) => generated === "");
  const references = (raw.references ?? []).map(({ columns: of, del, upd }) => ({
    columns: of,
    on: [...(changes(del) ? ["delete" as const] : []), ...(changes(upd) ? ["update" as const] : [])],
  }));
  return {
    table: {
      name,
      columns: Object.fromEntries(columns.map((column) => [column.name, columnTypeOf(column.type)])),
      key: raw.key ?? [],
    },
    obstacle: obstacleIn(raw),
    references,
  };
}

/** Rows that tell what became of branches: who changes them takes away what is needed to undo them. */
const ownTables: ReadonlySet<string> = new Set([undoTable.name, fenceTable.name]);

/** CASCADE, SET NULL, SET DEFAULT. */
const changes = (action: string): boolean => ["c", "n", "d"].includes(action);

/** Blobs are written to the undo log as such; all else as PostgreSQL's text for it. */
const columnTypeOf = (type: string) => (type === "bytea" ? ("bytes" as const) : { sql: type });

function obstacleIn(raw: RawDefinition): string | undefined {
  const { schema, name, kind, columns, key, triggers, rules, isParent } = raw;
  if (/[.:;,]/.test(schema + name)) return `"${name}" can't be named in a lock`;
  if (kind !== "r") return `${name} is no ordinary table`;
  if (key === null) return `${name} has no primary key`;
  const reckoned = columns.find((column) => column.generated !== "" && key.includes(column.name));
  if (reckoned !== undefined) return `${name} has a primary key with ${reckoned.name}, which is generated`;
  if (triggers !== null) return `${name} has triggers (${triggers.join(", ")}), which may change rows unseen`;
  if (rules !== null) return `${name} has rules (${rules.join(", ")}), which may change other rows`;
  return isParent ? `${name} has tables that inherit from it` : undefined;
}
