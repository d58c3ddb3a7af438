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
  /** All columns in their order, those that are generated among them. */
  readonly columns: readonly string[];
  /** Why its rows can't be undone; undefined: they can. */
  readonly obstacle: Obstacle | undefined;
  /** It tells what became of branches. */
  readonly isOwn: boolean;
  /** A key or constraint that is checked at the end of a transaction, or may be. */
  readonly deferrable: string | undefined;
  /** Columns that nobody but the database gives values to. */
  readonly numbered: readonly string[];
  /** Columns that others refer to, and what happens there when a row of this one goes, or such a column changes. */
  readonly references: readonly {
    readonly columns: readonly string[];
    readonly on: readonly ("delete" | "update")[];
  }[];
}

interface Obstacle {
  readonly reason: string;
  readonly hint: string;
}

/** The tables and functions of a database, as its catalogue has them. */
export class Catalog {
  readonly #clock: Clock;
  readonly #tables = new Map<string, { readonly definition: Definition; readonly untilUs: number }>();
  readonly #functions = new Map<string, Known & { readonly untilUs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The table of a statement. Throws a `TransactionError`: `UnsupportedStatement` when AT couldn't undo what it does there. */
  async tableOf(local: SqlTransaction, statement: Locking | Inserting | Changing): Promise<Table> {
    const { table, obstacle, isOwn, deferrable, numbered, references } = await this.#definitionOf(
      local,
      statement.relation,
    );
    const { name } = statement.relation;
    if (obstacle !== undefined) throw unsupported(obstacle.reason, obstacle.hint);
    if (isOwn) throw unsupported(`${name} is what it undoes by`, "leave it alone");
    if (statement.kind !== "update" && statement.kind !== "delete") return table;
    const { kind, sets } = statement;
    if (kind === "delete" && deferrable !== undefined) {
      throw unsupported(
        `${deferrable} of ${name} may be checked late: nobody would see whether a row's place is taken when it comes back`,
        "make it NOT DEFERRABLE, or mark the row as deleted in a column of its own",
      );
    }
    const own = sets.find((column) => numbered.includes(column));
    if (own !== undefined)
      throw unsupported(`${own} of ${name} is GENERATED ALWAYS: its old value can't be set again`, "leave it out");
    const key = sets.find((column) => table.key.includes(column));
    if (key !== undefined)
      throw unsupported(`it changes ${key}, of the primary key of ${name}`, "remove the row and add another");
    const reached = references.find(({ on, columns }) => {
      return on.includes(kind) && (kind === "delete" || columns.some((column) => sets.includes(column)));
    });
    if (reached !== undefined)
      throw unsupported(
        `a foreign key to ${name} changes rows of another table with it`,
        "change those rows first, by a statement of their own, and let the foreign key do nothing (NO ACTION)",
      );
    return table;
  }

  /** The table, looked up again where it has other columns by now than those that a statement brought back. */
  async withColumns(
    local: SqlTransaction,
    statement: Inserting | Changing,
    columns: readonly string[],
  ): Promise<Table> {
    const known = await this.#definitionOf(local, statement.relation);
    if (known.columns.join("\n") === columns.join("\n")) return known.table;
    this.#tables.delete(nameOf(statement.relation));
    return (await this.#definitionOf(local, statement.relation)).table;
  }

  /**
   * Throws a `TransactionError`: `UnsupportedStatement` when the statement calls what may change rows unseen, or mean other rows the next
   * time: a volatile function, but for the built-in ones that only make values; or when it locks rows, and says of many of them one thing.
   */
  async checkCalls(local: SqlTransaction, { kind, calls }: Statement): Promise<void> {
    const nowUs = this.#clock.nowUs();
    const unknown = calls
      .map(({ name }) => name)
      .filter((name) => !((this.#functions.get(name)?.untilUs ?? 0) > nowUs));
    if (unknown.length > 0) {
      for (const name of unknown) this.#functions.delete(name);
      // What isn't there may come at any moment: the database refuses it until then.
      for (const [name, isVolatile, isOfManyRows] of (await local.sql(functionsSql, [unknown])).rows) {
        const known = { isVolatile: isVolatile === "t", isOfManyRows: isOfManyRows === "t" };
        this.#functions.set(name!, { ...known, untilUs: nowUs + keptUs });
      }
    }
    for (const { name, isInPredicate } of calls) {
      const { isVolatile, isOfManyRows } = this.#functions.get(name) ?? harmless;
      if (kind === "lock" && isOfManyRows) {
        throw unsupported(
          `${said(name)} of rows that are locked doesn't tell which rows those are`,
          "select the rows FOR UPDATE, and reckon with them afterwards",
        );
      }
      if (!isVolatile) continue;
      if (isInPredicate) throw unsupported(`${said(name)} in its condition may mean other rows the next time`);
      if (!makesValues.has(name)) {
        throw unsupported(
          `${said(name)} may change rows, and nobody sees which`,
          "declare it as STABLE or IMMUTABLE if it changes none",
        );
      }
    }
  }

  async #definitionOf(local: SqlTransaction, relation: Relation): Promise<Definition> {
    const name = nameOf(relation);
    const known = this.#tables.get(name);
    if (known !== undefined && known.untilUs > this.#clock.nowUs()) return known.definition;
    const text = (await local.sql(definitionSql, [name, ownTables])).rows[0]?.[0];
    if (text === undefined || text === null)
      throw unsupported(`there is no table ${name}`, "create it, or say in which schema it is");
    const definition = toDefinition(JSON.parse(text) as RawDefinition);
    this.#tables.set(name, { definition, untilUs: this.#clock.nowUs() + keptUs });
    return definition;
  }
}

/** What is known of a function, or of an operator's. */
interface Known {
  readonly isVolatile: boolean;
  /** An aggregate, or of a window. */
  readonly isOfManyRows: boolean;
}

const harmless: Known = { isVolatile: false, isOfManyRows: false };

/** Of each name among those given: whether one such function, or operator, is volatile, and whether one is an aggregate or of a window. */
const functionsSql = `
SELECT name, bool_or(p.provolatile = 'v'), bool_or(p.prokind IN ('a', 'w')) FROM (
  SELECT proname AS name, oid FROM pg_proc WHERE proname = ANY ($1)
  UNION ALL SELECT oprname, oprcode FROM pg_operator WHERE oprname = ANY ($1)) named
JOIN pg_proc p ON p.oid = named.oid GROUP BY name`;

/** "now()", or "operator +". */
const said = (name: string): string => (/^[\w$]/.test(name) ? `${name}()` : `operator ${name}`);

const makesValues = new Set([
  ...["random", "clock_timestamp", "timeofday", "gen_random_uuid", "nextval", "currval", "lastval"],
]);

const nameOf = ({ schema, name }: Relation): string =>
  (schema === undefined ? "" : `${quoted(schema)}.`) + quoted(name);

/** What a relation's columns are called by in its statement. */
export const rowName = ({ name, alias }: Relation): string => quoted(alias ?? name);

/** The relation as a FROM clause names it. */
export function relationText(relation: Relation): string {
  const { alias, isOnly } = relation;
  return `${isOnly ? "ONLY " : ""}${nameOf(relation)}${alias === undefined ? "" : ` AS ${quoted(alias)}`}`;
}

interface RawDefinition {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly generated: string;
    readonly identity: string;
  }[];
  readonly key: readonly string[] | null;
  readonly triggers: readonly string[] | null;
  readonly rules: readonly string[] | null;
  readonly isParent: boolean;
  readonly isOwn: boolean;
  /** Volatile functions that its defaults or constraints call. */
  readonly calls: readonly string[] | null;
  readonly deferrable: string | null;
  readonly references:
    readonly { readonly columns: readonly string[]; readonly del: string; readonly upd: string }[] | null;
}

const definitionSql = `
SELECT json_build_object(
  'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'columns', (SELECT json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, -1), 'generated', a.attgenerated, 'identity', a.attidentity)
      ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'key', (SELECT json_agg(a.attname ORDER BY k.place)
    FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, place), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum),
  'triggers', (SELECT json_agg(tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D'),
  'rules', (SELECT json_agg(rulename) FROM pg_rewrite WHERE ev_class = c.oid),
  'isParent', EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid),
  'isOwn', c.oid IN (SELECT to_regclass(own) FROM unnest($2::text[]) own),
  'calls', (SELECT json_agg(DISTINCT p.proname) FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
    WHERE d.refclassid = 'pg_proc'::regclass AND p.provolatile = 'v' AND (
      d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT oid FROM pg_attrdef WHERE adrelid = c.oid)
      OR d.classid = 'pg_constraint'::regclass AND d.objid IN (SELECT oid FROM pg_constraint WHERE conrelid = c.oid))),
  'deferrable', (SELECT min(i.relname) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid AND NOT x.indimmediate),
  'references', (SELECT json_agg(json_build_object(
      'columns', (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (f.confkey)),
      'del', f.confdeltype, 'upd', f.confupdtype))
    FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid))::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`;

function toDefinition(raw: RawDefinition): Definition {
  // What is generated comes back by itself.
  const columns = raw.columns.filter(({ generated }) => generated === "");
  const references = (raw.references ?? []).map(({ columns: of, del, upd }) => ({
    columns: of,
    on: [...(changes(del) ? ["delete" as const] : []), ...(changes(upd) ? ["update" as const] : [])],
  }));
  return {
    table: {
      // With its schema always: where a rollback happens, another one may come first.
      name: `${raw.schema}.${raw.name}`,
      columns: Object.fromEntries(columns.map((column) => [column.name, columnTypeOf(column.type)])),
      key: raw.key ?? [],
    },
    columns: raw.columns.map((column) => column.name),
    obstacle: obstacleIn(raw),
    isOwn: raw.isOwn,
    deferrable: raw.deferrable ?? undefined,
    numbered: raw.columns.filter(({ identity }) => identity === "a").map((column) => column.name),
    references,
  };
}

/** Rows that tell what became of branches: who changes them takes away what is needed to undo them. */
const ownTables: readonly string[] = [undoTable.name, fenceTable.name];

/** CASCADE, SET NULL, SET DEFAULT. */
const changes = (action: string): boolean => ["c", "n", "d"].includes(action);

/** Blobs are written to the undo log as such; all else as PostgreSQL's text for it. */
const columnTypeOf = (type: string) => (type === "bytea" ? ("bytes" as const) : { sql: type });

function obstacleIn(raw: RawDefinition): Obstacle | undefined {
  const { schema, name, kind, columns, key, triggers, rules, isParent, calls } = raw;
  const obstacle = (reason: string, hint: string): Obstacle => ({ reason, hint });
  if (/[.:;,]/.test(schema + name)) return obstacle(`"${name}" can't be named in a lock`, "rename it");
  if (kind !== "r") return obstacle(`${name} is no ordinary table`, "change the tables behind it");
  if (key === null) return obstacle(`${name} has no primary key`, "give it one");
  const reckoned = columns.find((column) => column.generated !== "" && key.includes(column.name));
  if (reckoned !== undefined)
    return obstacle(`${name} has a primary key with ${reckoned.name}, which is generated`, "take another primary key");
  if (triggers !== null) {
    return obstacle(
      `${name} has triggers (${triggers.join(", ")}), which may change rows unseen`,
      "do what they do by statements of the same transaction, or take TCC",
    );
  }
  if (rules !== null)
    return obstacle(`${name} has rules (${rules.join(", ")}), which may change other rows`, "drop them");
  if (calls !== null) {
    return obstacle(
      `defaults or constraints of ${name} call ${calls.join("(), ")}(), which may change rows unseen`,
      "declare as STABLE or IMMUTABLE what changes none",
    );
  }
  return isParent ? obstacle(`${name} has tables that inherit from it`, "change those, one by one") : undefined;
}
