import type { Field } from "./document.ts";
import { glob } from "./match.ts";

/**
 * Dubbo's condition expressions: "method=get* & attachments[gray]!=false", "region=$region", "arguments[0].amount=100~".
 *
 * Keys are AND-ed. A key with `=` values needs one of them, and none of its `!=` values. A key that has no value at all never
 * matches, **not even by `!=`** (as in Dubbo for Java). Values: a text; `*` for any characters, any number of times; a range of
 * numbers, both ends included ("1~100", "~100", "100~"); `$name` is what the caller's own parameter `name` says (right side only).
 */
export interface Expression {
  /** As it was written. */
  readonly text: string;
  /** No terms: everything matches. */
  readonly terms: readonly Term[];
}

/** All that is asked of one key. */
export interface Term {
  readonly key: string;
  /** After `=`; none: only what isn't wanted is said. */
  readonly matches: readonly Pattern[];
  /** After `!=`. */
  readonly mismatches: readonly Pattern[];
}

export type Pattern =
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "wildcard"; readonly text: string; readonly matches: (value: string) => boolean }
  | { readonly kind: "range"; readonly text: string; readonly min: number; readonly max: number }
  /** The caller's parameter of this name. */
  | { readonly kind: "caller"; readonly text: string; readonly name: string };

/** Values by key, as one side of a rule sees them; undefined where there is none. */
export type Values = (key: string) => string | undefined;

const separators = "&!=,";

/**
 * Reads an expression. Throws a `RuleError` SYNTAX at `field`'s line for what Dubbo's own parser refuses, and for what it accepts
 * and never matches: a key without a value. One pass, without a regular expression.
 */
export function parseExpression(text: string, field: Field): Expression {
  const terms = new Map<string, { key: string; matches: Pattern[]; mismatches: Pattern[] }>();
  let term: { key: string; matches: Pattern[]; mismatches: Pattern[] } | undefined;
  let values: Pattern[] | undefined;
  const wrong = (what: string): Error =>
    field.error("SYNTAX", `"${shortened(text)}": ${what}`, 'write "key=value & key!=value,value"');
  for (let at = 0; ;) {
    const from = skipped(text, at, isSpace);
    const separated = skipped(text, from, isSeparator);
    const begin = skipped(text, separated, isSpace);
    const end = skipped(text, begin, (char) => !isSpace(char) && !isSeparator(char));
    const separator = text.slice(from, separated);
    const content = text.slice(begin, end);
    if (content === "") {
      if (separator !== "") throw wrong(`nothing comes after "${separator}"`);
      break;
    }
    at = end;
    switch (separator) {
      case "":
      case "&": {
        if (separator === "" && term !== undefined) throw wrong(`"&" is missing before "${content}"`);
        if (separator === "&" && term === undefined) throw wrong(`nothing comes before "&"`);
        if (term !== undefined && values === undefined) throw wrong(`"${term.key}" has no value`);
        const key = withoutSide(content);
        term = terms.get(key);
        if (term === undefined) terms.set(key, (term = { key, matches: [], mismatches: [] }));
        values = undefined;
        break;
      }
      case "=":
      case "!=":
        if (term === undefined) throw wrong(`nothing comes before "${separator}"`);
        values = separator === "=" ? term.matches : term.mismatches;
        values.push(patternOf(content));
        break;
      case ",":
        if (values === undefined) throw wrong(`"," comes between values, as in key=a,b`);
        values.push(patternOf(content));
        break;
      default:
        throw wrong(`"${separator}" is no separator`);
    }
  }
  if (term !== undefined && values === undefined) throw wrong(`"${term.key}" has no value`);
  return { text: text.trim(), terms: [...terms.values()] };
}

const isSpace = (char: string): boolean => char === " " || char === "\t" || char === "\n" || char === "\r";
const isSeparator = (char: string): boolean => separators.includes(char);

function skipped(text: string, from: number, is: (char: string) => boolean): number {
  let at = from;
  while (at < text.length && is(text[at]!)) at++;
  return at;
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** "consumer.region" and "provider.region" are "region": which side it is about is clear from where it stands. */
function withoutSide(key: string): string {
  return key.replace(/^(consumer|provider)\./, "");
}

function patternOf(text: string): Pattern {
  if (text.startsWith("$") && text.length > 1) return { kind: "caller", text, name: text.slice(1) };
  const range = rangeOf(text);
  if (range !== undefined) return { kind: "range", text, ...range };
  return text.includes("*") ? { kind: "wildcard", text, matches: glob(text) } : { kind: "exact", text };
}

/** "1~100", "~100", "100~"; undefined for what is none: such a text means itself. */
function rangeOf(text: string): { readonly min: number; readonly max: number } | undefined {
  const tilde = text.indexOf("~");
  if (tilde < 0 || text === "~") return undefined;
  const [low, high] = [text.slice(0, tilde), text.slice(tilde + 1)];
  const min = low === "" ? -Infinity : numberOf(low);
  const max = high === "" ? Infinity : numberOf(high);
  return min === undefined || max === undefined ? undefined : { min, max };
}

/** A decimal number as people write it: "007" is 7, and "1e3" and "0x10" are none. */
export function numberOf(text: string): number | undefined {
  return text.length <= 40 && /^[+-]?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** Whether a value is one of what the pattern stands for. `caller`: absent on a left side, where `$name` means itself. */
export function patternMatches(pattern: Pattern, value: string, caller?: Values): boolean {
  switch (pattern.kind) {
    case "exact":
      return value === pattern.text;
    case "wildcard":
      return pattern.matches(value);
    case "range": {
      const number = numberOf(value);
      return number !== undefined && number >= pattern.min && number <= pattern.max;
    }
    case "caller":
      return value === (caller === undefined ? pattern.text : caller(pattern.name));
  }
}

/** Decides about one key's value; compiled once, so that long lists of texts cost no more than short ones. */
export function termMatcher(term: Term, caller?: Values): (value: string | undefined) => boolean {
  const isWanted = anyOf(term.matches, caller);
  const isUnwanted = anyOf(term.mismatches, caller);
  const wantsOne = term.matches.length > 0;
  return (value) => {
    if (value === undefined || isUnwanted(value)) return false;
    return !wantsOne || isWanted(value);
  };
}

function anyOf(patterns: readonly Pattern[], caller: Values | undefined): (value: string) => boolean {
  const texts = new Set<string>();
  const others: Pattern[] = [];
  for (const pattern of patterns) {
    if (pattern.kind === "exact") texts.add(pattern.text);
    else others.push(pattern);
  }
  if (others.length === 0) return (value) => texts.has(value);
  return (value) => texts.has(value) || others.some((pattern) => patternMatches(pattern, value, caller));
}
