import { loadModule, parseSync, scanSync, type ScanToken } from "libpg-query";

import { TransactionError } from "../../transactions/error.ts";
import { isRecord } from "../../whole-file.ts";

/** A statement as AT sees it: what it is, and the parts of its text that it is put together from anew. */
export type Statement = (Reading | Locking | Inserting | Changing) & {
  readonly calls: readonly Call[];
  /** How many values come with it: the highest `$n`. */
  readonly parameters: number;
};

export interface Reading {
  readonly kind: "read";
}

/** `SELECT … FOR UPDATE` of one table: `columns`, then `from` with all that follows. */
export interface Locking {
  readonly kind: "lock";
  readonly relation: Relation;
  readonly columns: Slice;
  readonly from: Slice;
  readonly hasColumns: boolean;
}

export interface Inserting {
  readonly kind: "insert";
  readonly relation: Relation;
  readonly body: Slice;
  readonly returning: Slice | undefined;
}

export interface Changing {
  readonly kind: "update" | "delete";
  readonly relation: Relation;
  /** All but WHERE and RETURNING. */
  readonly body: Slice;
  readonly where: Slice | undefined;
  readonly returning: Slice | undefined;
  /** The columns that it sets; none for DELETE. */
  readonly sets: readonly string[];
}

export interface Relation {
  readonly schema: string | undefined;
  readonly name: string;
  readonly alias: string | undefined;
  readonly isOnly: boolean;
}

/** A function that it calls, or an operator. */
export interface Call {
  readonly name: string;
  /** It decides which rows are meant. */
  readonly isInPredicate: boolean;
}

/** A part of a statement's text: pieces, and the numbers of the parameters between them. */
export interface Slice {
  readonly pieces: readonly string[];
  readonly parameters: readonly number[];
}

const cacheMax = 1000;
const cache = new Map<string, Statement>();

/**
 * Reads a statement with PostgreSQL's own parser, cached by its text. Throws a `TransactionError`: `UnsupportedStatement`, with the reason,
 * for what AT couldn't undo, and `InvalidArgument` for what is no SQL.
 */
export async function parseStatement(text: string): Promise<Statement> {
  const known = cache.get(text);
  if (known !== undefined) return known;
  await loadModule();
  const statement = read(text);
  if (cache.size >= cacheMax) cache.delete(cache.keys().next().value!);
  cache.set(text, statement);
  return statement;
}

/** Throws a `TransactionError` `InvalidArgument` where the values aren't those that a statement asks for. */
export function checkValues({ parameters }: Statement, values: readonly unknown[]): void {
  if (values.length === parameters) return;
  const asked = parameters === 0 ? "no value" : `values up to $${parameters}`;
  throw new TransactionError(`the statement asks for ${asked}, and ${values.length} came with it`, {
    code: "InvalidArgument",
    hint: "give a value for each number, null where there is none",
  });
}

export function unsupported(reason: string, hint?: string): TransactionError {
  return new TransactionError(`AT can't undo this statement: ${reason}`, {
    code: "UnsupportedStatement",
    hint: hint ?? "write it as INSERT, UPDATE or DELETE of one table, or take TCC",
  });
}

type Node = Readonly<Record<string, unknown>>;

function read(text: string): Statement {
  const [[kind, tree], ...others] = parsed(text);
  if (others.length > 0) throw unsupported("it is several statements", "send them one by one");
  if (!["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"].includes(kind)) {
    throw unsupported(`${kind.replace(/Stmt$/, "")} isn't undone`, "only SELECT, INSERT, UPDATE and DELETE are");
  }
  refuseNested(tree, kind === "SelectStmt");
  const parts = new Parts(text);
  const common = { calls: callsIn(tree), parameters: parts.parameters };
  switch (kind) {
    case "SelectStmt":
      return { ...select(tree, parts), ...common };
    case "InsertStmt": {
      refuse(isRecord(tree["onConflictClause"]) && tree["onConflictClause"]["action"] === "ONCONFLICT_UPDATE", {
        reason: "ON CONFLICT DO UPDATE doesn't tell what it added from what it changed",
      });
      const [body, returning] = parts.split("RETURNING");
      return { kind: "insert", relation: relationIn(tree["relation"]), body: body!, returning, ...common };
    }
    default: {
      const isUpdate = kind === "UpdateStmt";
      refuse(tree[isUpdate ? "fromClause" : "usingClause"] !== undefined, {
        reason: `${isUpdate ? "UPDATE … FROM" : "DELETE … USING"} joins other tables`,
      });
      const [body, where, returning] = parts.split("WHERE", "RETURNING");
      const targets = isUpdate
        ? (tree["targetList"] as readonly { readonly ResTarget: { readonly name: string } }[])
        : [];
      return {
        ...{
          kind: isUpdate ? "update" : "delete",
          relation: relationIn(tree["relation"]),
          body: body!,
          where,
          returning,
        },
        ...{ sets: targets.map(({ ResTarget }) => ResTarget.name), ...common },
      };
    }
  }
}

function parsed(text: string): readonly [readonly [kind: string, tree: Node], ...(readonly [string, Node])[]] {
  let statements: readonly { readonly stmt?: unknown }[];
  try {
    statements = (parseSync(text) as { readonly stmts?: readonly { readonly stmt?: unknown }[] }).stmts ?? [];
  } catch (error) {
    throw new TransactionError(`no SQL: ${error instanceof Error ? error.message : String(error)}`, {
      code: "InvalidArgument",
      cause: error,
    });
  }
  const [first, ...others] = statements.map(({ stmt }) => Object.entries(stmt as Record<string, Node>)[0]!);
  if (first === undefined) throw new TransactionError("no SQL: there is no statement", { code: "InvalidArgument" });
  return [first, ...others];
}

function select(tree: Node, parts: Parts): Reading | Locking {
  refuse(tree["intoClause"] !== undefined, { reason: "SELECT INTO makes a table" });
  if (tree["lockingClause"] === undefined) return { kind: "read" };
  const from = tree["fromClause"] as readonly Node[] | undefined;
  const range = from?.length === 1 ? from[0]!["RangeVar"] : undefined;
  const isMore = ["groupClause", "distinctClause", "havingClause", "windowClause", "larg"].some((key) => key in tree);
  refuse(!isRecord(range) || isMore, {
    reason: "FOR UPDATE of more than the rows of one table doesn't tell which rows it locks",
    hint: "lock the tables one by one",
  });
  const alias = (range as Node)["alias"];
  refuse(isRecord(alias) && alias["colnames"] !== undefined, {
    reason: "FOR UPDATE of a table whose columns have other names in it",
    hint: "leave the names out after the table's alias",
  });
  const parted = parts.before("FROM", Number((range as Node)["location"]));
  if (parted === undefined) {
    throw unsupported("FOR UPDATE within parentheses, or of TABLE", "write SELECT … FROM … FOR UPDATE");
  }
  const [columns, rest] = parted;
  return {
    ...{ kind: "lock", relation: relationIn(range), columns, from: rest },
    hasColumns: ((tree["targetList"] as readonly unknown[] | undefined) ?? []).length > 0,
  };
}

function relationIn(range: unknown): Relation {
  const { schemaname, relname, alias, inh } = range as Readonly<Record<string, string>> & { readonly alias?: Node };
  const aliasName = isRecord(alias) ? String(alias["aliasname"]) : undefined;
  return { schema: schemaname, name: relname!, alias: aliasName, isOnly: inh === undefined };
}

/** What changes or locks rows further in, where nobody sees which. */
function refuseNested(tree: Node, isSelect: boolean): void {
  refuse(!isSelect && tree["withClause"] !== undefined, {
    reason: "WITH may read what it changes, or change more tables",
  });
  for (const { kind, node } of nodesIn(tree)) {
    refuse(["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"].includes(kind), {
      reason: "a WITH clause changes rows",
    });
    refuse(
      kind === "LockingClause" &&
        !(tree["lockingClause"] as readonly Node[] | undefined)?.some((own) => own[kind] === node),
      {
        reason: "a subquery locks rows",
      },
    );
    refuse(kind === "CurrentOfExpr", { reason: "WHERE CURRENT OF depends on a cursor" });
  }
  for (const { kind, node } of nodesIn(tree["whereClause"])) {
    refuse(kind === "SelectStmt" && node["limitCount"] !== undefined && node["sortClause"] === undefined, {
      reason: "LIMIT without ORDER BY may mean other rows the next time",
    });
  }
}

function callsIn(tree: Node): readonly Call[] {
  const inPredicate = new Set([...nodesIn(tree["whereClause"])].map(({ node }) => node));
  return [...nodesIn(tree)].flatMap(({ kind, node }) => {
    const names = node[calledAs[kind] ?? ""] as readonly { readonly String: { readonly sval: string } }[] | undefined;
    const name = names?.at(-1)!.String.sval;
    // BETWEEN and its like are no operators of their own: nobody could look them up.
    if (name === undefined || (kind !== "FuncCall" && /\w/.test(name))) return [];
    return { name, isInPredicate: inPredicate.has(node) };
  });
}

/** Where nodes that call something have its name; of the last two, `x + y` and `x = ANY (SELECT …)`, that of an operator. */
const calledAs: Readonly<Record<string, string>> = { FuncCall: "funcname", A_Expr: "name", SubLink: "operName" };

/** Every node below, by PostgreSQL's name for its kind. */
function* nodesIn(tree: unknown): Iterable<{ readonly kind: string; readonly node: Node }> {
  if (Array.isArray(tree)) for (const one of tree) yield* nodesIn(one);
  if (!isRecord(tree)) return;
  for (const [kind, node] of Object.entries(tree)) {
    if (isRecord(node)) yield { kind, node };
    yield* nodesIn(node);
  }
}

function refuse(isSo: boolean, { reason, hint }: { readonly reason: string; readonly hint?: string }): void {
  if (isSo) throw unsupported(reason, hint);
}

/** A statement's text in parts, cut at words that are within no parentheses. Positions are in bytes of UTF-8, as the parser counts. */
class Parts {
  readonly #bytes: Buffer;
  readonly #tokens: readonly (ScanToken & { readonly depth: number })[];
  readonly #end: number;

  constructor(text: string) {
    this.#bytes = Buffer.from(text);
    let depth = 0;
    this.#tokens = scanSync(text).tokens.map((token) => {
      if (token.text === ")" || token.text === "]") depth--;
      const placed = { ...token, depth };
      if (token.text === "(" || token.text === "[") depth++;
      return placed;
    });
    this.#end = this.#tokens.findLast((token) => token.text !== ";" && !isComment(token))!.end;
  }

  /** What comes before the first of these words, and after each of them without the word; undefined for a word that isn't there. */
  split(...words: readonly string[]): readonly (Slice | undefined)[] {
    const cuts = words.map((word) => this.#tokens.find((token) => isWord(token, word)));
    const endOf = (index: number): number => cuts.slice(index).find((cut) => cut !== undefined)?.start ?? this.#end;
    return [
      this.#slice(0, endOf(0)),
      ...cuts.map((cut, index) => (cut === undefined ? undefined : this.#slice(cut.end, endOf(index + 1)))),
    ];
  }

  /** Up to the last such word before a position, and from it on; undefined where there is none. */
  before(word: string, position: number): readonly [Slice, Slice] | undefined {
    const at = this.#tokens.findLast((token) => isWord(token, word) && token.start < position)?.start;
    return at === undefined ? undefined : [this.#slice(0, at), this.#slice(at, this.#end)];
  }

  /** The highest number of a parameter. */
  get parameters(): number {
    return Math.max(0, ...this.#tokens.filter(isParameter).map(({ text }) => Number(text.slice(1))));
  }

  #slice(from: number, to: number): Slice {
    const pieces: string[] = [];
    const parameters: number[] = [];
    let at = from;
    for (const token of this.#tokens) {
      if (token.start < from || token.end > to || !isParameter(token)) continue;
      pieces.push(this.#bytes.toString("utf8", at, token.start));
      parameters.push(Number(token.text.slice(1)));
      at = token.end;
    }
    // What follows a comment to the end of its line is on the next.
    return { pieces: [...pieces, `${this.#bytes.toString("utf8", at, to)}\n`], parameters };
  }
}

const isWord = (token: ScanToken & { readonly depth: number }, word: string): boolean =>
  token.depth === 0 && token.keywordKind > 0 && token.text.toUpperCase() === word;

const isParameter = ({ text }: ScanToken): boolean => /^\$\d+$/.test(text);

const isComment = ({ tokenName }: ScanToken): boolean => tokenName === "SQL_COMMENT" || tokenName === "C_COMMENT";
