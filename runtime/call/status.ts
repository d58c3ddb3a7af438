import { noMetadata, type Metadata } from "./metadata.ts";

/** gRPC's status codes; the index is the number on the wire (https://grpc.io/docs/guides/status-codes/). */
export const rpcCodes = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export type RpcCode = (typeof rpcCodes)[number];

/** The code for a number from the wire; an unknown number is UNKNOWN, as gRPC demands. */
export function rpcCodeOf(wire: number): RpcCode {
  return rpcCodes[wire] ?? "UNKNOWN";
}

/**
 * How far a call came before it failed, in this order; as far as the transport can tell: where it can't, "application".
 * - "nowhere": it never left this client, so that nothing can have happened.
 * - "server": it reached the server, which refused it before any handler saw it (HTTP/2 REFUSED_STREAM, a GOAWAY).
 * - "application": a handler may have seen it.
 * - "answered": the server had begun to answer; gRPC calls such a call committed, and nobody tries it again.
 */
export type Reach = "nowhere" | "server" | "application" | "answered";

export interface RpcErrorOptions {
  readonly code: Exclude<RpcCode, "OK">;
  /** What to do next. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** The server's trailing metadata. */
  readonly trailers?: Metadata | undefined;
  /** Default "application". */
  readonly reach?: Reach | undefined;
}

/** A call that ended without a reply. Branch on `code`; `message` is for people. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: Exclude<RpcCode, "OK">;
  readonly hint: string | undefined;
  readonly trailers: Metadata;
  /** How far the call came: whether it may be tried again depends on it. */
  readonly reach: Reach;

  constructor(message: string, options: RpcErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.hint = options.hint;
    this.trailers = options.trailers ?? noMetadata;
    this.reach = options.reach ?? "application";
  }
}

/** Whatever a handler threw, as the status that its caller will see: an `RpcError` stays, anything else is UNKNOWN. */
export function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  return new RpcError(error instanceof Error ? error.message : String(error), { code: "UNKNOWN", cause: error });
}
