import { isNode, LineCounter, parseDocument } from "yaml";

import { ScenarioError } from "./error.ts";

/** The longest scenario file that is read, in characters; written by hand they have some thousands. */
const charactersMax = 1_000_000;
/** How often aliases (`*name`) may be resolved: a few spare typing, many are a bomb. */
const aliasesMax = 100;

/** A scenario as its file has it, and where in the file its parts stand. */
export interface ScenarioDocument {
  readonly value: unknown;
  /** "mine.yaml:12:5" of what stands at a path, or of the nearest place above it that exists. */
  locate(path: readonly PropertyKey[]): string;
}

/**
 * Reads a YAML 1.2 file (JSON is YAML as well). Throws a `ScenarioError` INVALID_SCENARIO with line and column where it is malformed,
 * has a key twice, resolves over 100 aliases, or is longer than 1,000,000 characters.
 */
export function readDocument(text: string, reference: string): ScenarioDocument {
  if (text.length > charactersMax) {
    throw new ScenarioError(`${reference} has ${text.length} characters; a scenario has at most ${charactersMax}`, {
      code: "INVALID_SCENARIO",
    });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${reference}:${line}:${col}`;
  };
  const [mistake] = document.errors;
  if (mistake !== undefined) {
    throw new ScenarioError(`${at(mistake.pos[0])}: ${mistake.message}`, { code: "INVALID_SCENARIO", cause: mistake });
  }
  return {
    value: valueOf(() => document.toJS({ maxAliasCount: aliasesMax }) as unknown, reference),
    locate: (path) => {
      for (let length = path.length; length >= 0; length--) {
        const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
        if (isNode(node) && node.range) return at(node.range[0]);
      }
      return reference;
    },
  };
}

function valueOf(read: () => unknown, reference: string): unknown {
  try {
    return read();
  } catch (error) {
    throw new ScenarioError(`${reference}: ${(error as Error).message}`, {
      code: "INVALID_SCENARIO",
      hint: `at most ${aliasesMax} aliases are resolved`,
      cause: error,
    });
  }
}
