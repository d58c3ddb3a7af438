import { noMetadata, type Metadata } from "../call/metadata.ts";
import { RpcError } from "../call/status.ts";

/** Headers that belong to HTTP and to the protocols above it: they neither come from a caller's metadata nor reach a handler's. */
const reserved: ReadonlySet<string> = new Set([
  ...["accept", "accept-charset", "accept-encoding", "accept-language", "connection", "content-encoding"],
  ...["content-length", "content-type", "date", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"],
  ...["transfer-encoding", "upgrade", "user-agent", "cache-control", "x-content-type-options", "rpc-codec"],
]);

const isReserved = (name: string): boolean =>
  reserved.has(name) || name.startsWith("connect-") || name.startsWith("grpc-") || name.startsWith("trailer-");

export const timeoutHeader = "connect-timeout-ms";

/** Metadata as headers, each under `prefix`. Throws INVALID_ARGUMENT for what HTTP can't carry, as Triple does. */
export function headersOf(metadata: Metadata, prefix = ""): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [key, value] of metadata) {
    if (isReserved(key)) continue;
    if (!/^[0-9a-z_.-]+$/.test(key) || !/^[\x20-\x7e]*$/.test(value)) {
      throw new RpcError(`metadata "${key}" can't be sent`, {
        code: "INVALID_ARGUMENT",
        hint: "keys are lower-case letters, digits, _ . -; values are printable ASCII, or base64 under a key that ends in -bin",
      });
    }
    headers[prefix + key] = value;
  }
  return headers;
}

/** Trailers as headers; those that can't be sent are left out: the answer matters more. */
export function trailersOf(trailers: Metadata): Record<string, string> {
  try {
    return headersOf(trailers, "trailer-");
  } catch {
    return {};
  }
}

/** A call's metadata from a request's headers. */
export function metadataOf(headers: ReadonlyMap<string, string>): Metadata {
  return collect(headers, (name) => (isReserved(name) ? undefined : name));
}

/** Trailers from a response's headers. */
export function trailersFrom(headers: ReadonlyMap<string, string>): Metadata {
  return collect(headers, (name) => (name.startsWith("trailer-") ? name.slice("trailer-".length) : undefined));
}

function collect(headers: ReadonlyMap<string, string>, keyOf: (name: string) => string | undefined): Metadata {
  let entries: Map<string, string> | undefined;
  for (const [name, value] of headers) {
    const key = keyOf(name);
    if (key !== undefined) (entries ??= new Map()).set(key, value);
  }
  return entries ?? noMetadata;
}

/** What is left of the deadline; undefined without one. Throws INVALID_ARGUMENT for what is no number. */
export function timeoutUsOf(headers: ReadonlyMap<string, string>): number | undefined {
  const text = headers.get(timeoutHeader);
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text) * 1000;
  throw new RpcError(`${timeoutHeader} is a whole number of milliseconds of at most 10 digits`, {
    code: "INVALID_ARGUMENT",
  });
}

/** Rounded down, so that a deadline never grows on its way. */
export const timeoutText = (us: number): string => String(Math.min(Math.floor(us / 1000), 9_999_999_999));

/** "application/json" of "application/json; charset=utf-8". */
export const mediaTypeOf = (headers: ReadonlyMap<string, string>): string =>
  (headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
