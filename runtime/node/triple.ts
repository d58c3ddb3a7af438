import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

import type { Call } from "../call/call.ts";
import type { Method } from "../call/service.ts";
import { RpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { Listener, Response, Transport } from "../ports/transport.ts";
import { Channels, type KeptChannel } from "./channels.ts";
import { GrpcJsChannel } from "./grpc-js/channel.ts";
import { listenGrpcJs } from "./grpc-js/listener.ts";
import type { TlsIdentity } from "./tls.ts";
import { TripleChannel } from "./triple/channel.ts";
import { listenTriple } from "./triple/listener.ts";

/** What speaks HTTP/2: our own, or @grpc/grpc-js. Both keep the same contract, and understand each other. */
export type TripleStack = "http2" | "grpc-js";

export interface TripleOptions {
  readonly clock: Clock;
  /**
   * Where an address is really dialled; asked for each call, so that a changed answer takes effect with the next one. Calls in
   * flight finish on the old way. Default: the address itself.
   */
  readonly dial?: ((address: string) => string) | undefined;
  /** A larger message, either way, ends its call RESOURCE_EXHAUSTED. Default 4 MiB (gRPC's). */
  readonly messageBytesMax?: number | undefined;
  /** Pauses between attempts to reach a peer that refuses: from `initialMs`, × 1.6 each time, up to `maxMs`. Default 100 and 1000. */
  readonly reconnect?: { readonly initialMs: number; readonly maxMs: number } | undefined;
  /**
   * While calls are in flight, a peer that is silent for `idleMs` is pinged, and given up after `timeoutMs` more. Default 20000 and 20000;
   * @grpc/grpc-js doesn't ask.
   */
  readonly keepalive?: { readonly idleMs: number; readonly timeoutMs: number } | undefined;
  /** Default true: other machines can't connect. */
  readonly isLoopbackOnly?: boolean | undefined;
  /** Mutual TLS, both as client and as server. Default none. */
  readonly tls?: TlsIdentity | undefined;
  /** Default: what FLYBALL_TRIPLE in the environment says, else "http2". */
  readonly stack?: TripleStack | undefined;
}

interface Channel extends KeptChannel {
  invoke(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response>;
}

/**
 * Dubbo's Triple protocol: gRPC over HTTP/2, without TLS or with mutual TLS (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md),
 * on our own HTTP/2 (docs/http2.md) or on @grpc/grpc-js. One connection an address. Nothing is retried or balanced here. A peer that refuses
 * fails calls at once with UNAVAILABLE; one that is silent lets them wait until their deadlines, at most 20 s where it has never said
 * anything, or until keepalive gives it up.
 */
export function tripleTransport({
  clock,
  dial = (address) => address,
  messageBytesMax = 4 * 1024 * 1024,
  reconnect = { initialMs: 100, maxMs: 1000 },
  keepalive = { idleMs: 20_000, timeoutMs: 20_000 },
  isLoopbackOnly = true,
  tls,
  stack = stackOf(process.env["FLYBALL_TRIPLE"]),
}: TripleOptions): Transport {
  const options = { clock, messageBytesMax, reconnect, keepalive, isLoopbackOnly, tls };
  const channels = new Channels<Channel>(dial, (address, target) =>
    stack === "http2" ? new TripleChannel(address, target, options) : new GrpcJsChannel(address, target, options),
  );
  const listeners = new Set<Listener>();
  let isClosed = false;

  return {
    listen: async (listen) => {
      const listener = await (stack === "http2" ? listenTriple : listenGrpcJs)(listen, options);
      listeners.add(listener);
      return listener;
    },
    invoke: async (address, method, call, request) => {
      if (isClosed) throw new RpcError("the transport was closed", { code: "UNAVAILABLE" });
      if (call.reason !== undefined) throw call.reason;
      return channels.to(address).invoke(method, call, request);
    },
    release: (address) => channels.release(address),
    close: async () => {
      isClosed = true;
      channels.close();
      await Promise.all([...listeners].map((listener) => listener.close()));
      listeners.clear();
    },
  };
}

function stackOf(name: string | undefined): TripleStack {
  if (name === undefined || name === "" || name === "http2") return "http2";
  if (name === "grpc-js") return "grpc-js";
  throw new RpcError(`FLYBALL_TRIPLE is "${name}"`, { code: "INVALID_ARGUMENT", hint: 'say "http2" or "grpc-js"' });
}

// Every failure reaches somebody as an `RpcError`; the library would print it to stderr as well.
setLogVerbosity(logVerbosity.NONE);
