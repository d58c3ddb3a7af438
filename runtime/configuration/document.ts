import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Scalar } from "yaml";

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
    super(`line ${options.line}: ${message}`);
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

/**
 * Reads a rule document strictly: YAML 1.2 with unique keys, no tags, anchors or aliases, one mapping at the top. Every
 * mistake is a `RuleError` with its line, found here or by the `Field`s that the rule is then taken from.
 */
export function readDocument(content: string): Field {
  if (content.length > lengthMax) {
    throw new RuleError(`the document has ${content.length} characters`, {
      code: "TOO_LARGE",
      line: 1,
      hint: `at most ${lengthMax}`,
    });
  }
  refuseDeepNesting(content);
  const lines = new LineCounter();
  const document = parseDocument(content, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    version: "1.2",
    // Line breaks inside quotes and long keys are legal; what looks like a number is one.
    schema: "core",
    merge: false,
  });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    throw new RuleError(problem.message, {
      code: problem.code === "DUPLICATE_KEY" ? "DUPLICATE_KEY" : "SYNTAX",
      line: lines.linePos(problem.pos[0]).line,
      ...(problem.code === "TAB_AS_INDENT" && { hint: "indent with spaces" }),
    });
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    throw new RuleError("the document is empty", {
      code: "WRONG_TYPE",
      line: 1,
      hint: "delete the document to remove the rule, or set enabled: false",
    });
  }
  return new Field(document.contents, "the document", lines, 1);
}

/** The parser recurses, so nesting is bounded before it runs: by flow brackets, and by "- - -" and indentation. */
function refuseDeepNesting(content: string): void {
  let line = 1;
  let flow = 0;
  let dashes = 0;
  let isStart = true;
  const limit = (depth: number): void => {
    if (depth > depthMax) throw new RuleError(`nested more than ${depthMax} levels deep`, { code: "SYNTAX", line });
  };
  const indents: number[] = [];
  let indent = 0;
  for (const character of content) {
    if (character === "\n") {
      line++;
      isStart = true;
      dashes = 0;
      indent = 0;
      continue;
    }
    if (isStart && (character === " " || character === "-" || character === "?")) {
      indent++;
      if (character !== " ") limit(++dashes);
      continue;
    }
    if (isStart && character !== "\r") {
      isStart = false;
      while (indents.length > 0 && indents.at(-1)! >= indent) indents.pop();
      indents.push(indent);
      limit(indents.length);
    }
    if (character === "[" || character === "{") limit(++flow);
    else if ((character === "]" || character === "}") && flow > 0) flow--;
  }
}

/** A value of a document that knows its line and its name, so that what is wrong with it can be said precisely. */
export class Field {
  readonly line: number;
  readonly #node: Node;
  readonly #path: string;
  readonly #lines: LineCounter;

  constructor(node: Node, path: string, lines: LineCounter, fallbackLine: number) {
    this.#node = node;
    this.#path = path;
    this.#lines = lines;
    this.line = node.range === undefined || node.range === null ? fallbackLine : lines.linePos(node.range[0]).line;
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
    const node = this.#node;
    if (!isMap(node)) throw this.#wrongType("a mapping");
    const fields: { [N in Name]?: Field } = {};
    for (const { key, value } of node.items) {
      const keyField = new Field(key as Node, "a key", this.#lines, this.line);
      const name = String((key as Scalar).value);
      if (!names.includes(name as Name)) {
        throw keyField.error("UNKNOWN_KEY", `unknown key "${name}" in ${this.#path}`, didYouMean(name, names));
      }
      // "key:" without a value is as good as no key.
      if (value === null || (isScalar(value) && value.value === null)) continue;
      fields[name as Name] = new Field(value as Node, `"${name}"`, this.#lines, keyField.line);
    }
    return fields;
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
    return node.items.map((item) => new Field(item as Node, `an entry of ${this.#path}`, this.#lines, this.line));
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
