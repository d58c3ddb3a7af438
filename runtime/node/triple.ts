import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

import { RpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { Listener, Transport } from "../ports/transport.ts";
import { Channels } from "./channels.ts";
import type { TlsIdentity } from "./tls.ts";
import { TripleChannel } from "./triple/channel.ts";
import { listenTriple } from "./triple/listener.ts";

export interface TripleOptions {
  readonly clock: Clock;
  /**
   * Where an address is really dialled; asked for each call, so that a changed answer takes effect with the next one. Calls in
   * flight finish on the old way. Default: the address itself.
   */
  readonly dial?: ((address: string) => string) | undefined;
  /** A larger message, either way, ends its call RESOURCE_EXHAUSTED. Default 4 MiB (gRPC's). */
  readonly messageBytesMax?: number | undefined;
  /** Pauses between attempts to reach a peer that refuses: from `initialMs`, × 1.6 (± 20 %) each time, up to `maxMs`. Default 100 and 1000. */
  readonly reconnect?: { readonly initialMs: number; readonly maxMs: number } | undefined;
  /** Default true: other machines can't connect. */
  readonly isLoopbackOnly?: boolean | undefined;
  /** Mutual TLS, both as client and as server. Default none. */
  readonly tls?: TlsIdentity | undefined;
}

/**
 * Dubbo's Triple protocol: gRPC over HTTP/2, without TLS or with mutual TLS (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), by
 * @grpc/grpc-js. One connection an address. Nothing is retried or balanced here. A peer that refuses fails calls at once with
 * UNAVAILABLE; one that is silent lets them wait until their deadlines.
 */
export function tripleTransport({
  clock,
  dial = (address) => address,
  messageBytesMax = 4 * 1024 * 1024,
  reconnect = { initialMs: 100, maxMs: 1000 },
  isLoopbackOnly = true,
  tls,
}: TripleOptions): Transport {
  const channels = new Channels(
    dial,
    (address, target) => new TripleChannel(address, target, { clock, messageBytesMax, reconnect, tls }),
  );
  const listeners = new Set<Listener>();
  let isClosed = false;

  return {
    listen: async (options) => {
      const listener = await listenTriple(options, { clock, messageBytesMax, isLoopbackOnly, tls });
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

// Every failure reaches somebody as an `RpcError`; the library would print it to stderr as well.
setLogVerbosity(logVerbosity.NONE);
