import type { z } from "zod";

import { didYouMean } from "../../services/nearest.ts";
import type { Locate } from "./document.ts";
import { ScenarioError } from "./error.ts";
import { scenarioSchema, type Scenario } from "./schema.ts";
import { placeAt, valueAt } from "./shape.ts";

/**
 * Makes a scenario of a value from outside: a builder's, a file's, one that `--set` has changed. Throws a `ScenarioError`
 * INVALID_SCENARIO that names every key that is wrong, and what is allowed there. A value without a name is called `reference`.
 * `locate` says where in a file a path stands.
 */
export function parseScenario(value: unknown, reference = "the scenario", locate?: Locate): Scenario {
  const parsed = scenarioSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, [], value));
  const name = valueAt(value, ["name"]);
  throw new ScenarioError(
    [
      `${typeof name === "string" ? `scenario ${name}` : reference} is invalid`,
      ...problems.map(({ text, path, of }) => `  ${locate === undefined ? "" : `${locate(path, of)}: `}${text}`),
    ].join("\n"),
    { code: "INVALID_SCENARIO", hint: problems.find(({ hint }) => hint !== undefined)?.hint, cause: parsed.error },
  );
}

/** A path as `--set` takes it: "expect.1.detects". */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "the scenario" : path.map(String).join(".");
}

interface Problem {
  readonly text: string;
  readonly path: readonly PropertyKey[];
  /** What is wrong there. Default: the value. */
  readonly of?: "key";
  readonly hint?: string | undefined;
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue, base: readonly PropertyKey[], value: unknown): readonly Problem[] {
  const path = [...base, ...issue.path];
  const at = formatPath(path);
  const found = valueAt(value, path);
  switch (issue.code) {
    case "unrecognized_keys":
      return unknownKeys(issue.keys, path, placeAt(scenarioSchema, value, path)?.keys ?? []);
    case "invalid_value":
      return [{ ...oneOf(at, found, issue.values), path }];
    case "invalid_union": {
      if (found === undefined && !isDiscriminator(issue)) return [{ text: `${at}: is missing`, path }];
      if (isDiscriminator(issue)) return [{ ...oneOf(at, found, issue.options), path }];
      // What no alternative knows is a slip of the pen in the key that tells them apart.
      const { keys } = placeAt(scenarioSchema, value, path) ?? {};
      const unknown = isKeyed(found) ? Object.keys(found).filter((key) => keys?.includes(key) === false) : [];
      if (unknown.length > 0 && issue.errors.every(isOtherKind)) return unknownKeys(unknown, path, keys ?? []);
      // What each alternative knows in part is several of them at once: the schema says how many are meant.
      const isSeveral = keys !== undefined && isKeyed(found) && issue.errors.every(isOtherKind);
      if (isSeveral && !issue.message.startsWith("Invalid input")) return [{ text: `${at}: ${issue.message}`, path }];
      // The alternative that came closest is the one that was meant.
      const meant = issue.errors.toSorted((a, b) => distance(a) - distance(b))[0] ?? [];
      return meant.flatMap((inner) => problemsOf(inner, path, value));
    }
    case "invalid_type":
      return [{ text: found === undefined ? `${at}: is missing` : `${at}: expected ${typeOf(issue)}`, path }];
    case "too_small":
    case "too_big":
      return [{ text: `${at}: expected ${boundOf(issue)}`, path }];
    case "invalid_key":
      return issue.issues.flatMap((inner) => problemsOf(inner, path, value)).map((one) => ({ ...one, of: "key" }));
    case "invalid_format":
    case "not_multiple_of":
    case "invalid_element":
    case "custom":
      return [{ text: `${at}: ${expectation(issue.message)}`, path }];
  }
}

const unknownKeys = (
  keys: readonly string[],
  path: readonly PropertyKey[],
  allowed: readonly string[],
): readonly Problem[] =>
  keys.map((key) => ({
    text: `${formatPath([...path, key])}: there is no such key; allowed: ${allowed.join(", ")}`,
    path: [...path, key],
    of: "key",
    hint: didYouMean(key, allowed),
  }));

const isKeyed = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function oneOf(at: string, found: unknown, allowed: readonly unknown[]): Omit<Problem, "path"> {
  const list = allowed.map((one) => (typeof one === "string" ? `"${one}"` : String(one))).join(", ");
  const [choice, refusal] = allowed.length === 1 ? [list, "is not"] : [`one of ${list}`, "is not one of"];
  return {
    text: found === undefined ? `${at}: is missing; ${choice}` : `${at}: ${JSON.stringify(found)} ${refusal} ${list}`,
    hint: typeof found === "string" ? didYouMean(found, allowed.map(String)) : undefined,
  };
}

/** A union that is told apart by one key, whose value is none of those known. */
function isDiscriminator(issue: Issue): issue is Issue & { readonly options: readonly unknown[] } {
  return "options" in issue && Array.isArray(issue.options);
}

/** Our own messages say what is allowed; "expected" makes a sentence of them. */
function expectation(message: string): string {
  const [, bound] = /: expected (.*)$/.exec(message) ?? [];
  return `expected ${bound ?? message}`;
}

/** What a place takes, as somebody would say it who writes a file; our own words where the schema has them. */
function typeOf({ expected, message }: z.core.$ZodIssueInvalidType): string {
  return message.startsWith("Invalid input") ? (typeNames[expected] ?? `a ${expected}`) : message;
}

const typeNames: Readonly<Record<string, string>> = {
  object: "keys with their values",
  record: "keys with their values",
  array: "a list",
  string: "text",
  boolean: "true or false",
  int: "a whole number",
};

function boundOf(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const isSmall = issue.code === "too_small";
  const limit = isSmall ? issue.minimum : issue.maximum;
  const than = isSmall ? "more than" : "less than";
  const bound = issue.inclusive === false ? `${than} ${limit}` : `at ${isSmall ? "least" : "most"} ${limit}`;
  if (issue.origin === "array") return `${bound} in the list`;
  if (issue.origin !== "string") return bound;
  return isSmall && limit === 1 ? "a text that isn't empty" : `${bound} characters`;
}

/** How far a value is from an alternative of a union: the kind that it names decides, then the number of problems. */
const distance = (issues: readonly Issue[]): number => (isOtherKind(issues) ? 100 : 0) + issues.length;

const isOtherKind = (issues: readonly Issue[]): boolean =>
  issues.some(({ code, path }) => path.length === 0 && (code === "invalid_type" || code === "unrecognized_keys"));
