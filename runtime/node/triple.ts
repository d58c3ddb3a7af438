import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

import { RpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { Listener, Transport } from "../ports/transport.ts";
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
}

/**
 * Dubbo's Triple protocol: gRPC over HTTP/2 without TLS (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), by
 * @grpc/grpc-js. One connection an address. Nothing is retried or balanced here. A peer that refuses fails calls at once with
 * UNAVAILABLE; one that is silent lets them wait until their deadlines.
 */
export function tripleTransport({
  clock,
  dial = (address) => address,
  messageBytesMax = 4 * 1024 * 1024,
  reconnect = { initialMs: 100, maxMs: 1000 },
  isLoopbackOnly = true,
}: TripleOptions): Transport {
  const channels = new Map<string, TripleChannel>();
  /** Those that get no new calls, until their last one has ended. */
  const leaving = new Set<TripleChannel>();
  const listeners = new Set<Listener>();
  let isClosed = false;

  const channelTo = (address: string): TripleChannel => {
    const target = dial(address);
    const known = channels.get(address);
    if (known?.target === target) return known;
    const channel = new TripleChannel(address, target, { messageBytesMax, reconnect });
    if (known !== undefined) retire(known);
    channels.set(address, channel);
    return channel;
  };

  const retire = (channel: TripleChannel): void => {
    leaving.add(channel);
    channel.retire(() => leaving.delete(channel));
  };

  return {
    listen: async (options) => {
      const listener = await listenTriple(options, { clock, messageBytesMax, isLoopbackOnly });
      listeners.add(listener);
      return listener;
    },
    invoke: async (address, method, call, request) => {
      if (isClosed) throw new RpcError("the transport was closed", { code: "UNAVAILABLE" });
      if (call.reason !== undefined) throw call.reason;
      return channelTo(address).invoke(method, call, request);
    },
    release: (address) => {
      const channel = channels.get(address);
      if (channel === undefined) return;
      channels.delete(address);
      retire(channel);
    },
    close: async () => {
      isClosed = true;
      for (const channel of [...channels.values(), ...leaving]) channel.close();
      channels.clear();
      leaving.clear();
      await Promise.all([...listeners].map((listener) => listener.close()));
      listeners.clear();
    },
  };
}

// Every failure reaches somebody as an `RpcError`; the library would print it to stderr as well.
setLogVerbosity(logVerbosity.NONE);
