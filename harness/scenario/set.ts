import { didYouMean } from "../../services/nearest.ts";
import { ScenarioError } from "./error.ts";
import { formatPath, parseScenario } from "./parse.ts";
import { scenarioSchema, type Scenario } from "./schema.ts";
import { placeOf, valueAt, type Key, type Place } from "./shape.ts";

/**
 * A scenario with some of its values replaced: `PATH=VALUE` each, as `--set` takes it. A path's steps are keys and indexes
 * with dots between them, `*` for all of them: "load.0.legs.0.rate=40/s", "fleet.*.calls.retries=0". A setting of `calls` is
 * found without its name as well: "fleet.orders.retries=0". The value is text or JSON, whichever the schema takes; "null"
 * removes what may be left out. Throws a `ScenarioError` that names what is allowed.
 */
export function applySets(scenario: Scenario, sets: readonly string[]): Scenario {
  if (sets.length === 0) return scenario;
  const value = structuredClone(scenario) as unknown;
  for (const set of sets) applySet(value, set);
  return parseScenario(value);
}

function applySet(value: unknown, set: string): void {
  const equals = set.indexOf("=");
  if (equals < 1) {
    throw new ScenarioError(`--set ${set}: not PATH=VALUE`, {
      code: "INVALID_SCENARIO",
      hint: "for example --set load.0.legs.0.rate=40/s",
    });
  }
  const text = set.slice(equals + 1);
  const targets = targetsOf(value, set.slice(0, equals).split("."), {
    place: placeOf(scenarioSchema, value),
    path: [],
    set,
  });
  for (const target of targets) assign(value, target, { text, set });
}

/** A path without wildcards, and what the schema allows there. */
interface Target {
  readonly path: readonly Key[];
  readonly place: Place;
}

interface Cursor extends Target {
  readonly set: string;
}

/** Every place that the steps lead to. */
function targetsOf(root: unknown, steps: readonly string[], cursor: Cursor): readonly Target[] {
  if (steps.length === 0) return [cursor];
  const { path, place } = cursor;
  const here = valueAt(root, path);
  if (steps[0] === "*") return wildcardTargets(root, steps, cursor);

  const [key, rest] = longestKey(here, place, steps);
  const next = descend(root, cursor, key);
  if (next !== undefined) return targetsOf(root, rest, next);
  // "fleet.orders.retries" means what is in "calls": the builders let people write it so.
  const calls = place.child("calls", valueAt(here, ["calls"]));
  if (valueAt(here, ["calls"]) !== undefined && calls?.keys?.includes(key) === true) {
    return targetsOf(root, ["calls", ...steps], cursor);
  }
  throw unknownKey(key, here, cursor);
}

function wildcardTargets(root: unknown, steps: readonly string[], cursor: Cursor): readonly Target[] {
  const here = valueAt(root, cursor.path);
  const names = typeof here === "object" && here !== null ? Object.keys(here) : [];
  let problem: unknown;
  const found = names.flatMap((name) => {
    try {
      const [first] = steps.slice(1);
      // Those that lack the parent of what is to be set aren't meant: a provider that calls nobody has no `calls.retries`.
      if (first !== undefined && steps.length > 2 && valueAt(here, [name, first]) === undefined && first !== "*") {
        targetsOf(root, [name, ...steps.slice(1)], cursor);
        return [];
      }
      return targetsOf(root, [name, ...steps.slice(1)], cursor);
    } catch (error) {
      problem ??= error;
      return [];
    }
  });
  if (found.length > 0) return found;
  if (problem !== undefined) throw problem as Error;
  throw new ScenarioError(`--set ${cursor.set}: nothing there to set`, { code: "UNKNOWN_NAME" });
}

/** Names of a record may contain dots ("orders.tag-router"): the longest that is there wins; a new one takes all that is left. */
function longestKey(here: unknown, place: Place, steps: readonly string[]): readonly [string, readonly string[]] {
  if (place.isRecord) {
    for (let length = steps.length; length > 1; length--) {
      const key = steps.slice(0, length).join(".");
      const isNewValue = length === steps.length && place.child(key, undefined)?.hasKeys === false;
      if (isNewValue || valueAt(here, [key]) !== undefined) return [key, steps.slice(length)];
    }
  }
  return [steps[0]!, steps.slice(1)];
}

function descend(root: unknown, cursor: Cursor, key: string): Cursor | undefined {
  const { path, place, set } = cursor;
  const here = valueAt(root, path);
  const isThere = valueAt(here, [key]) !== undefined;
  const child = place.child(key, valueAt(here, [key]));
  if (child === undefined) return undefined;
  if (place.isArray && !isThere) return undefined;
  // A new service or the like needs more than one setting, so an unknown name is a slip. A plain value can be added.
  if (place.isRecord && !isThere && child.hasKeys) return undefined;
  return { path: [...path, key], place: child, set };
}

function unknownKey(key: string, here: unknown, { path, place, set }: Cursor): ScenarioError {
  const isObject = typeof here === "object" && here !== null;
  const allowed = place.keys ?? (isObject ? Object.keys(here) : []);
  const message = place.hasKeys
    ? `${formatPath(path)} has no "${key}"; it has ${allowed.length === 0 ? "nothing" : allowed.join(", ")}`
    : `${formatPath(path)} is a single value, it has no "${key}"`;
  const throughCalls = place.child("calls", valueAt(here, ["calls"]))?.keys ?? [];
  const hint = place.isArray ? undefined : didYouMean(key, [...allowed, ...throughCalls]);
  return new ScenarioError(`--set ${set}: ${message}`, { code: "UNKNOWN_NAME", hint });
}

function assign(root: unknown, target: Target, { text, set }: { readonly text: string; readonly set: string }): void {
  const { path, place } = target;
  const parent = parentOf(root, path.slice(0, -1));
  const last = path.at(-1)!;
  if (text === "null" && place.isOptional) {
    delete parent[last];
    return;
  }
  const json = parseJson(text);
  const candidates = json === undefined ? [text] : [json, text];
  const fitting = candidates.find((candidate) => place.accepts(candidate));
  if (fitting !== undefined) {
    parent[last] = fitting;
    return;
  }
  const complaints = candidates.map((candidate) => {
    parent[last] = candidate;
    return complaintOf(root);
  });
  // Of a number that had to be a rate, and of the same thing as a text, the schema says more about the right type.
  const complaint = complaints.find(({ message }) => !/expected an? (string|number|object|array)$/.test(message));
  const { message, hint } = complaint ?? complaints[0]!;
  throw new ScenarioError(`--set ${set}: ${message}`, { code: "INVALID_SCENARIO", hint });
}

/** What is wrong with a value now. */
function complaintOf(root: unknown): { readonly message: string; readonly hint: string | undefined } {
  try {
    parseScenario(root);
    return { message: "not allowed here", hint: undefined };
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error;
    const [, ...problems] = error.message.split("\n");
    return { message: problems.map((problem) => problem.trim()).join("; "), hint: error.hint };
  }
}

/** The object at a path, made where it may be but isn't yet. */
function parentOf(root: unknown, path: readonly Key[]): Record<Key, unknown> {
  let here = root as Record<Key, unknown>;
  for (const key of path) {
    // A plain value makes room for its long form: "5ms" for { exponential: … }.
    if (typeof here[key] !== "object" || here[key] === null) here[key] = {};
    here = here[key] as Record<Key, unknown>;
  }
  return here;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
