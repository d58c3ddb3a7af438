import {
  isMap,
  isNode,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type Alias,
  type Document,
  type Scalar,
  type YAMLParseError,
} from "yaml";

import { ScenarioError } from "./error.ts";

/** The longest scenario file that is read, in characters; written by hand they have some thousands. */
const charactersMax = 1_000_000;
/** How often aliases (`*name`) may be resolved: a few spare typing, many are a bomb. */
const aliasesMax = 100;

/** "mine.yaml:12:5" of the value at a path, or of the path's last key; else of the nearest place above that exists. */
export type Locate = (path: readonly PropertyKey[], what?: "value" | "key") => string;

/** A scenario as its file has it, and where in the file its parts stand. */
export interface ScenarioDocument {
  readonly value: unknown;
  readonly locate: Locate;
}

/**
 * Reads a YAML 1.2 file (JSON is YAML as well). Throws a `ScenarioError` INVALID_SCENARIO with line and column where it is malformed,
 * has a key twice, resolves over 100 aliases, or is longer than 1,000,000 characters.
 */
export function readDocument(text: string, reference: string): ScenarioDocument {
  const invalid = (message: string, hint?: string, cause?: unknown): ScenarioError =>
    new ScenarioError(message, { code: "INVALID_SCENARIO", hint, cause });
  if (text.length > charactersMax) {
    throw invalid(
      `${reference} has ${text.length} characters; a scenario has at most ${charactersMax}`,
      "is it the right file? npm run flyball -- new mine.yaml writes one to begin with",
    );
  }
  const strange = text.search(unreadable);
  if (strange >= 0) {
    const line = text.slice(0, strange).split("\n").length;
    throw invalid(`${reference}:${line}: this isn't text in UTF-8`, "save the file as UTF-8");
  }
  const lines = new LineCounter();
  // Keys that are mappings themselves would take minutes to be written out, one in the other.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${reference}:${line}:${col}`;
  };
  const [mistake] = document.errors;
  if (mistake !== undefined) {
    const { message, hint } = inOurWords(mistake);
    throw invalid(`${at(mistake.pos[0])}: ${message}`, hint, mistake);
  }
  if (document.contents === null) {
    throw invalid(`${reference} is empty`, "npm run flyball -- new mine.yaml writes a scenario to begin with");
  }
  return {
    value: valueOf(document, { reference, at }),
    locate: (path, what = "value") => {
      const key = what === "key" ? keyAt(document, path) : undefined;
      if (key?.range) return at(key.range[0]);
      for (let length = path.length; length >= 0; length--) {
        const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
        if (isNode(node) && node.range) return at(node.range[0]);
      }
      return reference;
    },
  };
}

/** The last key of a path, where the document has it. */
function keyAt(document: Document.Parsed, path: readonly PropertyKey[]): Scalar | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const keys = parent.items.map(({ key }) => key).filter((key) => isScalar(key));
  return keys.find(({ value }) => String(value) === path.at(-1));
}

/** What no text has: a byte that UTF-8 has no place for, and (but for tab and line ends) control characters. */
const unreadable = /[\uFFFD\u0000-\u0008\u000E-\u001F]/;

/** The parser's words where they speak of its own API, or of its own limits. */
function inOurWords({ code, message }: YAMLParseError): { readonly message: string; readonly hint?: string } {
  if (code === "MULTIPLE_DOCS") {
    return { message: "a second document begins here", hint: "a file holds one scenario: leave out the line ---" };
  }
  if (code === "DUPLICATE_KEY") return { message: "this key is there twice", hint: "leave one of the two out" };
  if (code === "NON_STRING_KEY") return { message: "a key is a text, and no list or mapping" };
  if (code === "TAB_AS_INDENT") return { message, hint: "indent with spaces" };
  if (/call stack/.test(message)) return { message: "it is nested too deeply" };
  return { message };
}

function valueOf(
  document: Document.Parsed,
  { reference, at }: { readonly reference: string; readonly at: (offset: number) => string },
): unknown {
  try {
    return document.toJS({ maxAliasCount: aliasesMax });
  } catch (cause) {
    const lost = aliasOfNothing(document);
    if (lost === undefined) {
      throw new ScenarioError(`${reference} resolves more than ${aliasesMax} aliases`, {
        code: "INVALID_SCENARIO",
        hint: "write out what the many names with * stand for",
        cause,
      });
    }
    throw new ScenarioError(`${at(lost.range?.[0] ?? 0)}: nothing before it is called &${lost.source}`, {
      code: "INVALID_SCENARIO",
      hint: "text that begins with * needs quotes",
      cause,
    });
  }
}

/** The first alias whose anchor nothing before it has. */
function aliasOfNothing(document: Document.Parsed): Alias | undefined {
  const anchors = new Set<string>();
  let found: Alias | undefined;
  visit(document, {
    Value: (_key, { anchor }) => {
      if (anchor !== undefined) anchors.add(anchor);
    },
    Alias: (_key, alias) => {
      if (anchors.has(alias.source)) return undefined;
      found = alias;
      return visit.BREAK;
    },
  });
  return found;
}
