import { Metadata as GrpcMetadata, type StatusObject } from "@grpc/grpc-js";

import { noMetadata, previousAttemptsKey, pushbackKey, type Metadata } from "../../runtime/call/metadata.ts";
import { RpcError, rpcCodeOf, rpcCodes, type Reach } from "../../runtime/call/status.ts";

/** Says which codec the messages are in, where it isn't the server's own: @grpc/grpc-js sends no other content type. */
export const codecHeader = "rpc-codec";

/** Headers that belong to the transport: they neither come from a caller's metadata nor reach a handler's. */
const reserved: ReadonlySet<string> = new Set(["user-agent", "content-type", "te", "date", codecHeader]);

/** gRPC's own headers that its callers and servers write and read: which attempt it is, and when to try again (proposal A6). */
const retryKeys: ReadonlySet<string> = new Set([previousAttemptsKey, pushbackKey]);

const isReserved = (key: string): boolean =>
  (key.startsWith("grpc-") && !retryKeys.has(key)) || key.startsWith(":") || reserved.has(key);

/** Throws INVALID_ARGUMENT for what gRPC can't carry: keys outside `[0-9a-z_.-]`, values outside printable ASCII. */
export function toGrpc(metadata: Metadata): GrpcMetadata {
  const carried = new GrpcMetadata();
  for (const [key, value] of metadata) {
    if (isReserved(key)) continue;
    try {
      if (key.endsWith("-bin")) for (const part of value.split(",")) carried.add(key, Buffer.from(part, "base64"));
      else carried.set(key, value);
    } catch (cause) {
      throw new RpcError(`metadata "${key}" can't be sent`, {
        code: "INVALID_ARGUMENT",
        hint: "keys are lower-case letters, digits, _ . -; values are printable ASCII, or base64 under a key that ends in -bin",
        cause,
      });
    }
  }
  return carried;
}

export function fromGrpc(carried: GrpcMetadata): Metadata {
  let entries: Map<string, string> | undefined;
  for (const [key, values] of Object.entries(carried.toJSON() as Record<string, (string | Buffer)[]>)) {
    if (isReserved(key)) continue;
    const texts = values.map((value) => (typeof value === "string" ? value : value.toString("base64")));
    (entries ??= new Map()).set(key, texts.join(","));
  }
  return entries ?? noMetadata;
}

/** `grpc-timeout`: at most 8 digits and a unit; rounded down, so that a deadline never grows on its way. */
export function timeoutHeader(us: number): string {
  if (us < 1e8) return `${Math.floor(us)}u`;
  if (us < 1e11) return `${Math.floor(us / 1e3)}m`;
  return `${Math.min(Math.floor(us / 1e6), 99_999_999)}S`;
}

/** A longer message wouldn't fit into the peer's header list (64 KiB by default). */
const messageCharactersMax = 4096;

/** The status that a server sends for an error. */
export function toStatus(error: RpcError): { code: number; details: string; metadata: GrpcMetadata } {
  let metadata;
  try {
    metadata = toGrpc(error.trailers);
  } catch {
    // The status matters more than trailers that can't be sent.
    metadata = new GrpcMetadata();
  }
  // Half a surrogate pair can't be percent-encoded.
  const details = error.message.slice(0, messageCharactersMax).toWellFormed();
  return { code: rpcCodes.indexOf(error.code), details, metadata };
}

/** The error that a caller sees for a status that isn't OK; `isCommitted`: the server's headers had arrived. */
export function fromStatus(status: StatusObject, address: string, isCommitted = false): RpcError {
  const reach = isCommitted ? "answered" : reachOf(status.details);
  const trailers = fromGrpc(status.metadata);
  if (trailers === noMetadata && isConnectionLost(status.details)) {
    return new RpcError(`${address}: ${status.details}`, {
      code: "UNAVAILABLE",
      hint: "is a node listening there, and is the network between healthy?",
      reach,
    });
  }
  const code = rpcCodeOf(status.code);
  return new RpcError(status.details, {
    code: code === "OK" ? "UNKNOWN" : code,
    trailers,
    reach: isCommitted ? "answered" : undefined,
  });
}

/**
 * @grpc/grpc-js knows how far a call came and strikes it out of the status that it hands on (1.14.7); its texts say it. That of a
 * connection which broke with the call on it says nothing: a handler may have seen the call.
 */
function reachOf(details: string): Reach {
  if (details.startsWith("Stream refused by server")) return "server";
  return neverSent.test(details) ? "nowhere" : "application";
}

const neverSent = /^(No connection established|Failed to start HTTP\/2 stream|connect E[A-Z]+)/;

/**
 * Whether @grpc/grpc-js says that no connection could be made, or that it went with the call on it. Its code is usually
 * UNAVAILABLE then, but which of the connection's and the stream's events it sees first is a race, so it may be CANCELLED or
 * INTERNAL as well; the text is all that tells these from a server's own status.
 */
export const isConnectionLost = (details: string): boolean => connectionLost.test(details);

const connectionLost = new RegExp(
  [
    "^No connection established",
    "^Connection dropped",
    "^Call cancelled$",
    "^Stream refused by server",
    "^Failed to start HTTP/2 stream",
    "^Received RST_STREAM with code 0 \\(Call ended without gRPC status\\)",
    "^Received RST_STREAM with code \\d+ triggered by internal client error",
    "^(read|write|connect) E[A-Z]+",
  ].join("|"),
);
