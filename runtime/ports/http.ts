import type { RpcError } from "../call/status.ts";

/** One HTTP request, read whole. */
export interface HttpRequest {
  /** "GET" */
  readonly method: string;
  /** Without the query, as it was sent: "/do". */
  readonly path: string;
  /** Decoded; of a name that comes twice, the first. */
  readonly query: ReadonlyMap<string, string>;
  /** Names in lower case; a repeated header's values are joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  /** UTF-8; empty when there is none, or when the content type says that it is no text. */
  readonly body: string;
  /** The body as it came. */
  readonly bytes: Uint8Array;
  /** Who sent it: "host:port". */
  readonly peer: string;
  /** Who that is, where a certificate has proven it: its common name. */
  readonly principal?: string | undefined;
  /** Calls `listener` once if the client goes away before it has its answer (at once if it has gone already). */
  onGone(listener: () => void): void;
}

export interface HttpResponse {
  readonly status: number;
  /** Bytes, and chunks of them as they come, are sent as they are, with a content type of their own; anything else as JSON. */
  readonly body: unknown;
  /** Further headers, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Tells when chunks are of no use to anybody any more: a client that doesn't take them loses its connection then. Default: never. */
  readonly onOver?: ((listener: () => void) => void) | undefined;
}

export interface HttpListenOptions {
  /** "host:port"; port 0 takes a free one. */
  readonly address: string;
  /** Answers one request. A rejection is answered 500, without its reason. */
  readonly handle: (request: HttpRequest) => Promise<HttpResponse>;
  /** The body that tells a client why its request didn't get as far as `handle`. Default: `{ code, message }`. */
  readonly errorBody?: ((error: RpcError) => unknown) | undefined;
}

/** A listening socket. */
export interface HttpListener {
  /** Where it really listens: "host:port". */
  readonly address: string;
  /** Takes no more connections, asks clients to close theirs, and resolves when requests in flight are answered or `graceUs` is over. */
  drain(graceUs: number): Promise<void>;
  /** Closes every connection at once. */
  close(): Promise<void>;
}

/**
 * A front for clients that speak HTTP/1.1. A request that is malformed, too large or too slow is answered 4xx and its connection
 * closed; it never reaches `handle`.
 */
export interface Http {
  /** Rejects with an `RpcError` (UNAVAILABLE with a hint) when the address is taken. */
  listen(options: HttpListenOptions): Promise<HttpListener>;
}
