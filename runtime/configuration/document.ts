import { Composer, isAlias, isMap, isScalar, isSeq, LineCounter, Parser, type CST, type Node, type Scalar } from "yaml";

/** What is wrong with a rule document. `message` begins with the line. */
export class RuleError extends Error {
  override readonly name = "RuleError";
  readonly code: RuleErrorCode;
  /** Counted from 1; the first line when the whole document is meant. */
  readonly line: number;
  /** What to do next: the nearest name, the values that are allowed. */
  readonly hint: string | undefined;

  constructor(
    message: string,
    options: { readonly code: RuleErrorCode; readonly line: number; readonly hint?: string },
  ) {
    // Words of the document are part of it, and may be long.
    super(`line ${options.line}: ${message.length > messageMax ? `${message.slice(0, messageMax)}…` : message}`);
    this.code = options.code;
    this.line = options.line;
    this.hint = options.hint;
  }
}

export type RuleErrorCode =
  | "TOO_LARGE"
  /** Not YAML, or YAML that a rule has no use for: tags, anchors, aliases, several documents. */
  | "SYNTAX"
  | "DUPLICATE_KEY"
  | "UNKNOWN_KEY"
  | "MISSING_KEY"
  | "WRONG_TYPE"
  /** Of the right type, and not allowed here. */
  | "WRONG_VALUE";

/** Characters that a document may have: a rule that needs more is generated, and not read by people any more. */
const lengthMax = 256 * 1024;
/** Levels of nesting: far more than a rule needs, far fewer than a parser's stack. */
const depthMax = 32;
/** Characters of a message. */
const messageMax = 160;

/**
 * Reads a rule document strictly: YAML 1.2 with unique keys, no tags, anchors, aliases or directives, one mapping at the top.
 * Every mistake is a `RuleError` with its line, found here or by the `Field`s that the rule is then taken from.
 */
export function readDocument(content: string): Field {
  if (content.length > lengthMax) {
    throw new RuleError(`the document has ${content.length} characters`, {
      code: "TOO_LARGE",
      line: 1,
      hint: `at most ${lengthMax}`,
    });
  }
  const lines = new LineCounter();
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const tokens = tokensOf(content, lines);
  refuseUnusual(tokens, lineAt);
  // `Field` finds duplicate keys itself: the composer takes seconds for a document of nothing else.
  const [document] = new Composer({ schema: "core", stringKeys: true, uniqueKeys: false, prettyErrors: false }).compose(
    tokens,
    true,
    content.length,
  );
  const problem = document?.errors[0] ?? document?.warnings[0];
  if (problem !== undefined) {
    const hint = problem.code === "TAB_AS_INDENT" ? { hint: "indent with spaces" } : {};
    throw new RuleError(problem.message, { code: "SYNTAX", line: lineAt(problem.pos[0]), ...hint });
  }
  const root: Node | null | undefined = document?.contents;
  if (root === undefined || root === null || (isScalar(root) && root.value === null)) {
    throw new RuleError("the document is empty", {
      code: "WRONG_TYPE",
      line: 1,
      hint: "to end a rule, delete its document or set enabled: false",
    });
  }
  return new Field(root, "the document", lineAt, 1);
}

/** The parser closes what is open one in the other: what is too deep for it is too deep for a rule. */
function tokensOf(content: string, lines: LineCounter): readonly CST.Token[] {
  try {
    return [...new Parser(lines.addNewLine).parse(content)];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RuleError(`more than ${depthMax} levels deep`, { code: "SYNTAX", line: 1 });
  }
}

/** What YAML allows and a rule never needs. Nesting is bounded before the composer, which recurses, sees it. */
function refuseUnusual(tokens: readonly CST.Token[], lineAt: (offset: number) => number): void {
  const documents = tokens.filter(({ type }) => type === "document");
  const surplus = documents[1] ?? tokens.find(({ type }) => type === "directive");
  if (surplus !== undefined) {
    const what = surplus.type === "directive" ? "a directive" : "a second document";
    throw new RuleError(`${what} in a rule document`, { code: "SYNTAX", line: lineAt(offsetOf(surplus)) });
  }
  let level: CST.Token[] = [...tokens];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthMax) {
      throw new RuleError(`more than ${depthMax} levels deep`, { code: "SYNTAX", line: lineAt(offsetOf(level[0]!)) });
    }
    level = level.flatMap(children);
  }
}

function offsetOf(token: CST.Token): number {
  return "offset" in token && typeof token.offset === "number" ? token.offset : 0;
}

function children(token: CST.Token): CST.Token[] {
  if ("items" in token)
    return token.items
      .flatMap(({ key, value }) => [key, value])
      .filter((child) => child !== null && child !== undefined);
  return token.type === "document" && token.value !== undefined ? [token.value] : [];
}

/** A value of a document that knows its line and its name, so that what is wrong with it can be said precisely. */
export class Field {
  readonly line: number;
  readonly #node: Node;
  readonly #path: string;
  readonly #lineAt: (offset: number) => number;

  constructor(node: Node, path: string, lineAt: (offset: number) => number, fallbackLine: number) {
    this.#node = node;
    this.#path = path;
    this.#lineAt = lineAt;
    this.line = node.range === undefined || node.range === null ? fallbackLine : lineAt(node.range[0]);
    const { anchor, tag } = node as { anchor?: string; tag?: string };
    if (isAlias(node) || anchor !== undefined) {
      throw this.error("SYNTAX", `${path} uses an anchor or an alias`, "write the value out");
    }
    if (tag !== undefined && !/^tag:yaml.org,2002:(map|seq|str|int|float|bool|null)$/.test(tag)) {
      throw this.error("SYNTAX", `${path} has the tag ${tag}`, "write a plain value");
    }
  }

  /** The fields of a mapping by name; any other name than these is an error. */
  fields<Name extends string>(...names: readonly Name[]): { readonly [N in Name]?: Field } {
    const fields: { [N in Name]?: Field } = {};
    for (const [name, value] of this.#items(names)) if (value !== undefined) fields[name as Name] = value;
    return fields;
  }

  /** The fields of a mapping in which any name may come, in their order. */
  entries(): readonly (readonly [name: string, value: Field])[] {
    return this.#items(undefined).filter((item): item is [string, Field] => item[1] !== undefined);
  }

  /** The error for a name that isn't known, with the nearest one that is. */
  unknownKey(name: string, names: readonly string[]): RuleError {
    return this.error("UNKNOWN_KEY", `unknown key "${name}"`, didYouMean(name, names));
  }

  /** Names and values; undefined stands for "key:" without a value, which is as good as no key. */
  #items(names: readonly string[] | undefined): [string, Field | undefined][] {
    const node = this.#node;
    if (!isMap(node)) throw this.#wrongType("a mapping");
    const items: [string, Field | undefined][] = [];
    const seen = new Set<string>();
    for (const { key, value } of node.items) {
      const keyField = new Field(key as Node, "a key", this.#lineAt, this.line);
      const name = String((key as Scalar).value);
      if (names?.includes(name) === false) {
        throw keyField.error("UNKNOWN_KEY", `unknown key "${name}" in ${this.#path}`, didYouMean(name, names));
      }
      if (seen.has(name)) throw keyField.error("DUPLICATE_KEY", `the key "${name}" is there twice in ${this.#path}`);
      seen.add(name);
      const isAbsent = value === null || (isScalar(value) && value.value === null);
      items.push([name, isAbsent ? undefined : new Field(value as Node, `"${name}"`, this.#lineAt, keyField.line)]);
    }
    return items;
  }

  /** A field that must be there. */
  required<Name extends string>(fields: { readonly [N in Name]?: Field }, name: Name): Field {
    const field = fields[name];
    if (field === undefined) throw this.error("MISSING_KEY", `${this.#path} lacks "${name}"`);
    return field;
  }

  list(): readonly Field[] {
    const node = this.#node;
    if (!isSeq(node)) throw this.#wrongType("a list");
    return node.items.map((item) => new Field(item as Node, `an entry of ${this.#path}`, this.#lineAt, this.line));
  }

  /** Text; a number or a word such as `true` must be quoted, so that it can't be meant otherwise. */
  text(): string {
    const value = this.#scalar();
    if (typeof value !== "string") throw this.#wrongType("text, in quotes where it looks like something else");
    return value;
  }

  /** Text in which plain numbers and words are welcome too, as written: tags, versions, label values. */
  label(): string {
    const value = this.#scalar();
    if (typeof value === "string") return value;
    if (typeof value !== "number" && typeof value !== "boolean") throw this.#wrongType("text");
    const source = (this.#node as Scalar).source;
    return source ?? String(value);
  }

  boolean(): boolean {
    const value = this.#scalar();
    if (typeof value !== "boolean") throw this.#wrongType("true or false");
    return value;
  }

  number(range: { readonly min: number; readonly max: number }): number {
    const value = this.#scalar();
    if (typeof value !== "number") throw this.#wrongType("a number");
    if (!(value >= range.min && value <= range.max)) {
      throw this.error("WRONG_VALUE", `${this.#path} is ${value}`, `from ${range.min} to ${range.max}`);
    }
    return value;
  }

  integer(range: { readonly min: number; readonly max: number }): number {
    const value = this.number(range);
    if (!Number.isInteger(value)) throw this.error("WRONG_VALUE", `${this.#path} is ${value}`, "a whole number");
    return value;
  }

  /** One of the texts. */
  oneOf<Value extends string>(...values: readonly Value[]): Value {
    const value = this.label();
    if (!values.includes(value as Value)) {
      throw this.error("WRONG_VALUE", `${this.#path} is "${value}"`, didYouMean(value, values));
    }
    return value as Value;
  }

  /** An error at this value's line. */
  error(code: RuleErrorCode, message: string, hint?: string): RuleError {
    return new RuleError(message, { code, line: this.line, ...(hint !== undefined && { hint }) });
  }

  #scalar(): unknown {
    return isScalar(this.#node) ? this.#node.value : this.#node;
  }

  #wrongType(expected: string): RuleError {
    return this.error("WRONG_TYPE", `${this.#path} is ${describe(this.#node)}`, `write ${expected}`);
  }
}

function describe(node: Node): string {
  if (isMap(node)) return "a mapping";
  if (isSeq(node)) return "a list";
  const value = isScalar(node) ? node.value : undefined;
  return typeof value === "string" ? `the text "${value}"` : String(value);
}

function didYouMean(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  return `${nearest === undefined ? "" : `did you mean "${nearest}"? `}one of: ${names.join(", ")}`;
}

/** The name that takes the fewest edits (Levenshtein 1965), if that is at most a third of its length; the first of equals. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let fewest = Infinity;
  for (const candidate of names) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < fewest && distance <= Math.max(1, candidate.length / 3)) {
      nearest = candidate;
      fewest = distance;
    }
  }
  return nearest;
}

function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 32) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
