import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

import { RpcError } from "../../runtime/call/status.ts";
import { Channels } from "../../runtime/node/channels.ts";
import type { TlsIdentity } from "../../runtime/node/tls.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import type { Listener, Transport } from "../../runtime/ports/transport.ts";
import { GrpcJsChannel } from "./channel.ts";
import { listenGrpcJs } from "./listener.ts";

export interface GrpcJsTransportOptions {
  readonly clock: Clock;
  /** As `tripleTransport`'s. Default: the address itself. */
  readonly dial?: ((address: string) => string) | undefined;
  /** Mutual TLS, both as client and as server. Default none. */
  readonly tls?: TlsIdentity | undefined;
}

/**
 * Triple on @grpc/grpc-js: what the product's own transport is measured beside, with everything above it the same, and held against. It
 * keeps the contract of transports, and understands ours.
 */
export function grpcJsTransport({ clock, dial = (address) => address, tls }: GrpcJsTransportOptions): Transport {
  const messageBytesMax = 4 * 1024 * 1024;
  const reconnect = { initialMs: 100, maxMs: 1000 };
  const channels = new Channels(
    dial,
    (address, target) => new GrpcJsChannel(address, target, { clock, messageBytesMax, reconnect, tls }),
  );
  const listeners = new Set<Listener>();
  let isClosed = false;

  return {
    listen: async (listen) => {
      const listener = await listenGrpcJs(listen, { clock, messageBytesMax, isLoopbackOnly: true, tls });
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
