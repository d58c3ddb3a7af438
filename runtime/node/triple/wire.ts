import { Metadata as GrpcMetadata, type StatusObject } from "@grpc/grpc-js";

import { noMetadata, type Metadata } from "../../call/metadata.ts";
import { RpcError, rpcCodeOf, rpcCodes } from "../../call/status.ts";

/** Headers that belong to the transport: they neither come from a caller's metadata nor reach a handler's. */
const isReserved = (key: string): boolean =>
  key.startsWith("grpc-") || key.startsWith(":") || key === "user-agent" || key === "content-type" || key === "te";

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

/** What @grpc/grpc-js says of a call's end beyond its types: the RST_STREAM code, and whether a stream was opened at all. */
type EndOfCall = StatusObject & { readonly rstCode?: number; readonly progress?: string };

/** The error that a caller sees for a status that isn't OK. */
export function fromStatus(status: EndOfCall, address: string): RpcError {
  const wire = rpcCodeOf(status.code);
  const code = isBrokenConnection(status) ? "UNAVAILABLE" : wire === "OK" ? "UNKNOWN" : wire;
  const trailers = fromGrpc(status.metadata);
  const isOurs = code === "UNAVAILABLE" && trailers === noMetadata && isTransportMessage(status.details);
  if (!isOurs) return new RpcError(status.details, { code, trailers });
  return new RpcError(`${address}: ${lowerFirst(status.details)}`, {
    code,
    hint: "is a node listening there, and is the network between healthy?",
  });
}

/**
 * A stream that ended without a status because its connection went. @grpc/grpc-js usually says UNAVAILABLE then, but which of
 * the connection's and the stream's events it sees first is a race, so it may say CANCELLED or INTERNAL as well.
 */
function isBrokenConnection(status: EndOfCall): boolean {
  if (status.progress === "NOT_STARTED") return true;
  if (status.rstCode === undefined) return false;
  return (
    status.rstCode === noError ||
    (status.rstCode === cancel && status.details === "Call cancelled") ||
    (status.rstCode === internalError && status.details.includes("triggered by internal client error"))
  );
}

// RFC 9113, section 7.
const noError: number = 0;
const internalError: number = 2;
const cancel: number = 8;

const isTransportMessage = (details: string): boolean =>
  /^(No connection established|Connection dropped|Call cancelled|Received RST_STREAM|Stream refused|Failed to start|read E|write E|connect E)/.test(
    details,
  );

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
