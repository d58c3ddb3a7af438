import type { DescService } from "@bufbuild/protobuf";

import type { Call } from "../call/call.ts";
import type { Metadata } from "../call/metadata.ts";
import type { Method } from "../call/service.ts";

/** What a method answered: one message, or a stream of them. */
export type Response = UnaryResponse | StreamResponse;

export interface UnaryResponse {
  readonly kind: "unary";
  readonly message: unknown;
  /** Metadata that came after the message. */
  readonly trailers: Metadata;
}

/**
 * The answer of a method that gives a stream: given once the server committed itself to it (its response headers arrived), or, where both
 * sides stream, once the call is under way: a server may have nothing to say before it has heard something. Iterating throws an `RpcError`
 * when the stream breaks; leaving the loop early cancels the call.
 */
export interface StreamResponse {
  readonly kind: "stream";
  readonly messages: AsyncIterable<unknown>;
}

/** One method of a server, as the transport calls it. */
export interface ServedMethod {
  readonly method: Method<unknown, unknown>;
  /**
   * Serves one call; where the client streams, `request` is an `AsyncIterable` of its messages, which throws an `RpcError` when nobody
   * waits for the answer any more. A rejection is an `RpcError`; anything else a handler throws has become UNKNOWN by then.
   */
  readonly serve: (call: Call, request: unknown) => Promise<Response>;
}

export interface ListenOptions {
  /** "host:port"; port 0 takes a free one. */
  readonly address: string;
  /** By path: "/flyball.worker.v1.Worker/Do". */
  readonly methods: ReadonlyMap<string, ServedMethod>;
  /**
   * The services that they belong to, for clients that ask, where the protocol has a way to (gRPC's reflection). Default: nobody is told.
   */
  readonly services?: readonly DescService[] | undefined;
}

/** A listening socket. */
export interface Listener {
  /** Where it really listens: "host:port". */
  readonly address: string;
  /**
   * Asks clients to go away (GOAWAY), refuses new calls with UNAVAILABLE, and resolves when those in flight have ended or
   * `graceUs` is over.
   */
  drain(graceUs: number): Promise<void>;
  /** Closes every connection at once; calls in flight end UNAVAILABLE at their callers. */
  close(): Promise<void>;
}

/**
 * Carries calls between nodes: the seam between real and simulated networks. Messages cross as copies; so do metadata; the
 * deadline crosses as the time that is left.
 */
export interface Transport {
  /** Rejects with an `RpcError` (UNAVAILABLE with a hint) when the address is taken. */
  listen(options: ListenOptions): Promise<Listener>;
  /**
   * Sends one request to `address` and resolves with the response. Where the client streams, `request` is an `AsyncIterable` of messages,
   * of which none is taken before the call is on its way, and `return` is called when the call ends before them; a protocol without such
   * calls rejects with UNIMPLEMENTED. Rejects with an `RpcError`: UNAVAILABLE when the peer can't be reached or the connection breaks, the
   * server's status otherwise. Ends at once when the call is cancelled, whatever the server does (by then its promise may reject with
   * anything: the caller has the call's own reason), and tells the server.
   */
  invoke(address: string, method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response>;
  /**
   * No more calls go to `address`, as far as is known: its connection is closed when those in flight have ended. A call that goes there
   * all the same makes a new one.
   */
  release(address: string): void;
  /** Closes all connections and listeners. */
  close(): Promise<void>;
}
