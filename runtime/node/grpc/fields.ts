import { noMetadata, previousAttemptsKey, pushbackKey, statusDetailsKey, type Metadata } from "../../call/metadata.ts";
import { RpcError } from "../../call/status.ts";
import { ofConnections } from "../http2/fields.ts";

/** Names the codec beside the content type, which @grpc/grpc-js neither sets nor shows. */
export const codecHeader = "rpc-codec";

/** Headers that belong to the transport: they neither come from a caller's metadata nor reach a handler's. */
const reserved: ReadonlySet<string> = new Set([
  ...["user-agent", "accept-encoding", "content-type", "content-length", "te", "date", codecHeader, ...ofConnections],
]);

/**
 * gRPC's own headers that its callers and servers write and read: which attempt it is, when to try again (proposal A6), and why it failed.
 */
const open: ReadonlySet<string> = new Set([previousAttemptsKey, pushbackKey, statusDetailsKey]);

const isReserved = (key: string): boolean =>
  (key.startsWith("grpc-") && !open.has(key)) || key.charCodeAt(0) === colon || reserved.has(key);

const colon = 0x3a;
const keyForm = /^[0-9a-z_.-]+$/;
const valueForm = /^[\x20-\x7e]*$/;

/**
 * Custom metadata as fields of HTTP/2, names and values in turn (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Throws
 * INVALID_ARGUMENT for what gRPC can't carry: keys outside `[0-9a-z_.-]`, values outside printable ASCII.
 */
export function toFields(metadata: Metadata, list: string[] = []): string[] {
  if (metadata.size === 0) return list;
  for (const [key, value] of metadata) {
    if (isReserved(key)) continue;
    const isBinary = key.endsWith("-bin");
    if (!keyForm.test(key) || (!isBinary && !valueForm.test(value))) {
      throw new RpcError(`metadata "${key.slice(0, 100)}" can't be sent`, {
        code: "INVALID_ARGUMENT",
        hint: "keys are lower-case letters, digits, _ . -; values are printable ASCII, or base64 under a key that ends in -bin",
      });
    }
    if (!isBinary) list.push(key, value.trim());
    else for (const part of value.split(",")) list.push(key, canonical(part).replace(/=+$/, ""));
  }
  return list;
}

/** The custom metadata among fields; a repeated key's values are joined, a cookie's crumbs as RFC 9113 section 8.2.3 wants it. */
export function fromFields(list: readonly string[]): Metadata {
  let entries: Map<string, string> | undefined;
  for (let at = 0; at < list.length; at += 2) {
    const key = list[at]!;
    if (isReserved(key)) continue;
    const sent = list[at + 1]!;
    const value = key.endsWith("-bin") ? sent.split(",").map(canonical).join() : sent;
    const before = (entries ??= new Map<string, string>()).get(key);
    entries.set(key, before === undefined ? value : `${before}${key === "cookie" ? "; " : ","}${value}`);
  }
  return entries ?? noMetadata;
}

/** Senders may pad base64 or not; here it is padded. */
const canonical = (base64: string): string => Buffer.from(base64, "base64").toString("base64");

/**
 * `grpc-message`: what isn't printable ASCII goes as the bytes of its UTF-8, and so do spaces at its edges, where no field may have any.
 */
export function percentEncode(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return encodeEdges(text);
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== percent;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encodeEdges(encoded);
}

/** So many characters of it, or a few less: none of its text's is cut, and no space is left at the edge. */
export function cutEncoded(encoded: string, charactersMax: number): string {
  if (encoded.length <= charactersMax) return encoded;
  let at = Math.max(0, charactersMax);
  const escape = encoded.lastIndexOf("%", at);
  if (escape > at - 3 && escape >= 0) at = escape;
  // A byte that goes on with a character.
  while (/^%[89AB]/.test(encoded.slice(at, at + 2))) at -= 3;
  return encoded.slice(0, at).trimEnd();
}

const encodeEdges = (encoded: string): string => encoded.replace(/^ | $/g, "%20");

/**
 * Of a field's text, a character for each byte. What isn't properly encoded stays as it is, also UTF-8 that isn't encoded at all: a message
 * is for people, and no reason to lose the status.
 */
export function percentDecode(text: string): string {
  if (!/[%\x80-\xff]/.test(text)) return text;
  const bytes = Buffer.alloc(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const digits = text.slice(at + 1, at + 3);
    if (text[at] === "%" && /^[0-9a-fA-F]{2}$/.test(digits)) {
      bytes[length++] = Number.parseInt(digits, 16);
      at += 2;
    } else bytes[length++] = text.charCodeAt(at);
  }
  return bytes.toString("utf8", 0, length);
}

const percent = 0x25;

/**
 * `grpc-timeout`: at most 8 digits and a unit; rounded down, so that a deadline never grows on its way. From 100 ms on in milliseconds,
 * which loses 1 % at most: calls with the same timeout then say the same, and whoever reads them may know it.
 */
export function timeoutHeader(us: number): string {
  if (us < 1e5) return `${Math.floor(us)}u`;
  if (us < 1e11) return `${Math.floor(us / 1e3)}m`;
  return `${Math.min(Math.floor(us / 1e6), 99_999_999)}S`;
}

const unitUs: Readonly<Record<string, number>> = { n: 1e-3, u: 1, m: 1e3, S: 1e6, M: 60e6, H: 3600e6 };

/** Microseconds, rounded down; undefined where it is none. */
export function parseTimeout(text: string): number | undefined {
  const match = /^(\d{1,8})([numSMH])$/.exec(text);
  return match === null ? undefined : Math.floor(Number(match[1]) * unitUs[match[2]!]!);
}
