import { Call } from "../../runtime/call/call.ts";
import { metadata } from "../../runtime/call/metadata.ts";
import {
  numberOf,
  patternMatches,
  termMatcher,
  type Expression,
  type Pattern,
  type Term,
  type Values,
} from "../../runtime/configuration/expression.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { RouteTarget } from "../../runtime/routing/router.ts";
import { callKey, callerValues, type CallKey } from "../../runtime/routing/sides.ts";
import type { Caller, FleetService } from "./fleet.ts";

/** A request that nobody makes: what is asked about. */
export interface ProbeRequest {
  readonly caller: Caller;
  readonly method: string;
  /** By lower-case name. */
  readonly attachments: Readonly<Record<string, string>>;
  /** By path, "0" or "0.user.id". */
  readonly arguments: Readonly<Record<string, string>>;
}

export const anyMethod = "AnyMethod";

export function plainRequest(caller: Caller, attachments: Readonly<Record<string, string>> = {}): ProbeRequest {
  return { caller, method: anyMethod, attachments, arguments: {} };
}

export function targetOf(
  { name, interfaceName, version }: FleetService,
  { application, host, labels }: Caller,
): RouteTarget {
  return { service: name, interfaceName, ...(version !== "" && { version }), application, host, labels };
}

/** What a left side's key finds, `found` being what the key means. */
export function requestValue(
  request: ProbeRequest,
  said: Values,
  key: string,
  found: CallKey | undefined,
): string | undefined {
  switch (found?.of) {
    case undefined:
      return said(key);
    case "method":
      return request.method;
    case "argument":
      return request.arguments[found.path];
    case "attachment":
      return request.attachments[found.name];
  }
}

/** As the runtime sees it. */
export function callOf(request: ProbeRequest, { service, interfaceName }: RouteTarget): Call {
  return new Call({
    clock: noClock,
    service,
    method: `/${interfaceName}/${request.method}`,
    metadata: metadata(request.attachments),
    request: messageOf(request.arguments),
  });
}

const noClock: Clock = {
  nowUs: () => 0,
  wallMs: () => 0,
  after: () => () => undefined,
  sleep: () => Promise.resolve(),
};

function messageOf(values: ProbeRequest["arguments"]): unknown {
  if (Object.hasOwn(values, "0")) return values["0"];
  const message: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(values)) {
    const keys = path.split(".").slice(1);
    const last = keys.pop();
    if (last === undefined) continue;
    let inner = message;
    for (const key of keys) inner = (inner[key] ??= {}) as Record<string, unknown>;
    inner[last] = value;
  }
  return message;
}

/** "storefront → orders.Do  attachments[tier]=vip" */
export function requestText({ caller, method, attachments, arguments: values }: ProbeRequest, service: string): string {
  const parts = [
    ...Object.entries(caller.labels).map(([key, value]) => `${key}=${value}`),
    ...(caller.host === undefined ? [] : [`host=${caller.host}`]),
  ];
  const who = parts.length === 0 ? caller.application : `${caller.application} (${parts.join(", ")})`;
  const carried = [
    ...Object.entries(values).map(([path, value]) => `${path.replace(/^(\d+)/, "arguments[$1]")}=${value}`),
    ...Object.entries(attachments).map(([key, value]) => `attachments[${key}]=${value}`),
  ];
  const what = method === anyMethod ? service : `${service}.${method}`;
  return `${who} → ${what}${carried.length === 0 ? "" : `  ${carried.join("  ")}`}`;
}

/** All terms of several left sides that are about one key. */
type Asked = ReadonlyMap<string, readonly Term[]>;

/** The key in one spelling: attachments have no case. */
function canonical(key: string): string {
  const found = callKey(key);
  if (found?.of === "method") return "method";
  return found?.of === "attachment" ? `attachments[${found.name}]` : key;
}

function askedBy(sides: readonly Expression[]): Asked {
  const asked = new Map<string, Term[]>();
  for (const { terms } of sides) {
    for (const term of terms) {
      const key = canonical(term.key);
      const all = asked.get(key);
      if (all === undefined) asked.set(key, [term]);
      else all.push(term);
    }
  }
  return asked;
}

export type Witness =
  | { readonly kind: "found"; readonly request: ProbeRequest }
  /** No value can fit this key. */
  | { readonly kind: "impossible"; readonly key: string }
  /** None of the callers that are known says what this key asks. */
  | { readonly kind: "no-caller"; readonly key: string }
  /** None was found, and none is proved not to be there. */
  | { readonly kind: "unknown" };

/** A request that all of these left sides mean, by one of the callers; where nobody said who calls, by one that is made up. */
export function witnessOf(sides: readonly Expression[], { service, callers, isKnown }: ProbedBy): Witness {
  const asked = [...askedBy(sides)];
  const ofCall = asked.filter(([key]) => callKey(key) !== undefined);
  const ofCaller = asked.filter(([key]) => callKey(key) === undefined);
  const values = new Map<string, string>();
  for (const [key, terms] of ofCall) {
    const value = valueFor(terms);
    if (value === undefined) return isImpossible(terms) ? { kind: "impossible", key } : { kind: "unknown" };
    values.set(key, value);
  }
  const fits = (caller: Caller): boolean => {
    const said = callerValues(targetOf(service, caller));
    return ofCaller.every(([key, terms]) => terms.every((term) => prepared(term).matches(said(key))));
  };
  const fitting = callers.find(fits);
  if (fitting !== undefined) return { kind: "found", request: requestOf(fitting, values) };
  const [first] = ofCaller;
  if (isKnown) return { kind: "no-caller", key: first![0] };
  const own = new Map<string, string>();
  for (const [key, terms] of ofCaller) {
    const value = valueFor(terms);
    if (value === undefined) return isImpossible(terms) ? { kind: "impossible", key } : { kind: "unknown" };
    own.set(key, value);
  }
  const caller = imagined(own);
  // What is fixed about every caller of this service may be otherwise.
  return fits(caller) ? { kind: "found", request: requestOf(caller, values) } : { kind: "no-caller", key: first![0] };
}

/** The request that a left side which can't mean any seems to mean: of each key the first value that it names. */
export function seemingRequest({ terms }: Expression, caller: Caller): ProbeRequest {
  const values = new Map<string, string>();
  for (const { key, matches, mismatches } of terms) {
    const [first] = [...matches, ...mismatches].flatMap(examplesOf);
    if (first !== undefined && callKey(key) !== undefined && !values.has(canonical(key)))
      values.set(canonical(key), first);
  }
  return requestOf(caller, values);
}

/** Who may ask. */
export interface ProbedBy {
  readonly service: FleetService;
  readonly callers: readonly Caller[];
  /** These are all callers that there are. */
  readonly isKnown: boolean;
}

function requestOf(caller: Caller, values: ReadonlyMap<string, string>): ProbeRequest {
  const attachments: Record<string, string> = {};
  const given: Record<string, string> = {};
  let method = anyMethod;
  for (const [key, value] of values) {
    const found = callKey(key);
    if (found?.of === "method") method = value;
    else if (found?.of === "attachment") attachments[found.name] = value;
    else if (found?.of === "argument") given[found.path] = value;
  }
  return { caller, method, attachments, arguments: given };
}

function imagined(own: ReadonlyMap<string, string>): Caller {
  const { application = anyCaller, host, ...rest } = Object.fromEntries(own);
  const { side: _side, interface: _interface, group: _group, ...labels } = rest;
  return { application, host, labels };
}

export const anyCaller = "any-caller";

/** A quick no: two left sides want different texts of one key. What it lets pass may be impossible all the same. */
export function canMeet(a: readonly QuickTerm[], b: readonly QuickTerm[]): boolean {
  for (const { key, texts } of a) {
    for (const other of b) {
      if (other.key === key && !texts.some((text) => other.texts.includes(text))) return false;
    }
  }
  return true;
}

export interface QuickTerm {
  readonly key: string;
  readonly texts: readonly string[];
}

/** The keys of which a left side wants one of a few texts. */
export function quickTerms({ terms }: Expression): readonly QuickTerm[] {
  return terms.flatMap(({ key, matches }) =>
    matches.length > 0 && matches.length <= 8 && matches.every(({ kind }) => kind === "exact")
      ? [{ key: canonical(key), texts: matches.map(({ text }) => text) }]
      : [],
  );
}

function valueFor(terms: readonly Term[]): string | undefined {
  const [first] = terms;
  const all = terms.map(prepared);
  const fits = (value: string): boolean => all.every(({ matches }) => matches(value));
  for (const { examples } of all) {
    const found = examples.find(fits);
    if (found !== undefined) return found;
  }
  return first === undefined ? undefined : strangers(terms).find(fits);
}

interface PreparedTerm {
  readonly matches: (value: string | undefined) => boolean;
  readonly examples: readonly string[];
}

/** Each term is asked about many times: once with every other that it may meet. */
const preparedTerms = new WeakMap<Term, PreparedTerm>();

function prepared(term: Term): PreparedTerm {
  let made = preparedTerms.get(term);
  if (made === undefined) {
    made = { matches: termMatcher(term), examples: term.matches.flatMap(examplesOf) };
    preparedTerms.set(term, made);
  }
  return made;
}

/** Texts that a pattern means. */
function examplesOf(pattern: Pattern): readonly string[] {
  switch (pattern.kind) {
    case "exact":
    case "caller":
      return [pattern.text];
    case "wildcard":
      return ["", "x", "7", "other"].map((filling) => pattern.text.replaceAll("*", filling));
    case "range": {
      const { min, max } = pattern;
      const low = Number.isFinite(min) ? min : max - 1;
      const high = Number.isFinite(max) ? max : min + 1;
      return [low, high, Math.floor((low + high) / 2), low + 1, high - 1].map(String);
    }
  }
}

/** Texts that no pattern names. */
function strangers(terms: readonly Term[]): readonly string[] {
  const numbers = terms.flatMap(({ matches, mismatches }) =>
    [...matches, ...mismatches].flatMap((pattern) => (pattern.kind === "range" ? [pattern.min, pattern.max] : [])),
  );
  const beyond = numbers.filter(Number.isFinite).flatMap((number) => [String(number + 1), String(number - 1)]);
  return ["other", "another", "x-9", "", ...beyond];
}

/** Whether it is certain that no value fits: all that is wanted are texts, or anything at all is unwanted. */
function isImpossible(terms: readonly Term[]): boolean {
  const unwanted = terms.flatMap(({ mismatches }) => mismatches);
  if (unwanted.some(({ text }) => text === "*")) return true;
  return terms.some(
    ({ matches }) =>
      matches.length > 0 &&
      matches.every((pattern) => {
        if (pattern.kind === "range") return pattern.min > pattern.max || isRangeCut(pattern, terms);
        return pattern.kind === "exact" || pattern.kind === "caller"
          ? true
          : unwanted.some((other) => other.text === pattern.text);
      }),
  );
}

/** A range that another one excludes as a whole, or never meets. */
function isRangeCut(range: Pattern & { readonly kind: "range" }, terms: readonly Term[]): boolean {
  const covers = (other: Pattern): boolean =>
    other.kind === "range" && other.min <= range.min && other.max >= range.max;
  const misses = (other: Pattern): boolean => {
    if (other.kind === "range") return other.max < range.min || other.min > range.max;
    const number = other.kind === "exact" ? numberOf(other.text) : undefined;
    return other.kind === "exact" && (number === undefined || !patternMatches(range, other.text));
  };
  return terms.some(
    ({ matches, mismatches }) => mismatches.some(covers) || (matches.length > 0 && matches.every(misses)),
  );
}
