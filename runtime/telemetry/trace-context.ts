import { trimBlanks } from "../blanks.ts";

/**
 * Where a call belongs: its trace, and the span under which what it causes is put. It travels on `Call`, and between nodes in
 * metadata, in W3C's formats (https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/baggage/).
 */
export interface TraceContext {
  /** 32 hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 hexadecimal digits, not all zero. */
  readonly spanId: string;
  /** Whether the trace's spans are recorded: decided once, at its root. */
  readonly isSampled: boolean;
  /** What other tracing systems put beside it: passed on as it came. */
  readonly tracestate: string | undefined;
  /** What callers attached for everybody below them (a tenant, a test's name): passed on as it came. */
  readonly baggage: string | undefined;
}

/** The metadata keys in which a context travels: the same names as HTTP's headers, gRPC's metadata and Dubbo's attachments. */
export const traceparentKey = "traceparent";
export const tracestateKey = "tracestate";
export const baggageKey = "baggage";

/** A `traceparent`, read. */
export type Traceparent = Pick<TraceContext, "traceId" | "spanId" | "isSampled">;

/**
 * Reads a `traceparent`; undefined for what the recommendation calls invalid: another length, capitals, ids of zeros, version ff.
 * A version that is newer than 00 may have more at its end, which is ignored.
 */
export function parseTraceparent(text: string): Traceparent | undefined {
  const parts = traceparent.exec(text);
  if (parts === null) return undefined;
  const [, version, traceId, spanId, flags, more] = parts as unknown as string[];
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (traceId === noTrace || spanId === noSpan) return undefined;
  return { traceId: traceId!, spanId: spanId!, isSampled: (parseInt(flags!, 16) & 1) === 1 };
}

const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const noTrace = "0".repeat(32);
const noSpan = "0".repeat(16);

/** Version 00, with no flag but `sampled`. */
export function formatTraceparent({ traceId, spanId, isSampled }: Traceparent): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}

/** One tracing system's own part of a trace's state. */
export interface TracestateEntry {
  /** "rojo", or a tenant's: "fw529a3039@dt". */
  readonly key: string;
  readonly value: string;
}

const tracestateEntriesMax = 32;

/**
 * Reads a `tracestate`, the latest entry first; undefined when it breaks the rules (over 32 entries, a key twice, a character
 * that isn't allowed): such a one is to be discarded as a whole. Empty entries are allowed, and left out.
 */
export function parseTracestate(text: string): readonly TracestateEntry[] | undefined {
  const entries: TracestateEntry[] = [];
  for (const part of text.split(",")) {
    const member = trimBlanks(part);
    if (member === "") continue;
    const equals = member.indexOf("=");
    const entry = { key: member.slice(0, equals), value: member.slice(equals + 1) };
    const isKnown = entries.some(({ key }) => key === entry.key);
    if (equals < 0 || isKnown || !tracestateKeys.test(entry.key) || !tracestateValues.test(entry.value)) {
      return undefined;
    }
    // At once: each is compared with all before it.
    if (entries.push(entry) > tracestateEntriesMax) return undefined;
  }
  return entries;
}

const tracestateKeys = /^([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})$/;
/** Printable ASCII without "," and "=", up to 256, the last no blank. */
const tracestateValues = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

export function formatTracestate(entries: readonly TracestateEntry[]): string {
  return entries.map(({ key, value }) => `${key}=${value}`).join(",");
}

/** One thing that callers attached to everything below them. */
export interface BaggageEntry {
  readonly key: string;
  /** As it was before it was percent-encoded. */
  readonly value: string;
  /** What follows the value, as it came: "ttl=3". */
  readonly properties: readonly string[];
}

/** Reads a `baggage`. Members that break the rules are left out, the others stand; of a key that comes twice the last counts. */
export function parseBaggage(text: string): readonly BaggageEntry[] {
  const entries = new Map<string, BaggageEntry>();
  for (const member of text.split(",")) {
    const [pair = "", ...properties] = member.split(";").map(trimBlanks);
    const equals = pair.indexOf("=");
    const key = trimBlanks(pair.slice(0, Math.max(0, equals)));
    const value = decoded(trimBlanks(pair.slice(equals + 1)));
    if (!token.test(key) || value === undefined) continue;
    entries.delete(key);
    entries.set(key, { key, value, properties });
  }
  return [...entries.values()];
}

/** An HTTP token (RFC 7230). */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What a value may hold: printable ASCII but blank, quote, comma, semicolon and backslash. */
const baggageOctets = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/;

/** Percent-encoding outside of what a value may hold, and of "%" itself. */
export function formatBaggage(entries: readonly BaggageEntry[]): string {
  return entries
    .map(({ key, value, properties }) =>
      [`${key}=${encodeURIComponent(value.toWellFormed())}`, ...properties].join(";"),
    )
    .join(",");
}

/** Undefined for what no value may hold. What isn't UTF-8 becomes U+FFFD, as the recommendation demands. */
function decoded(value: string): string | undefined {
  if (!baggageOctets.test(value)) return undefined;
  return value.replace(/(%[0-9A-Fa-f]{2})+/g, (run) => {
    const bytes = run.slice(1).split("%");
    return utf8.decode(Uint8Array.from(bytes, (byte) => parseInt(byte, 16)));
  });
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
