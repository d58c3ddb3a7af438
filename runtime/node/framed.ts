import type { Clock } from "../ports/clock.ts";
import type { Transport } from "../ports/transport.ts";
import { Channels, transportOver } from "./channels.ts";
import { FramedChannel } from "./framed/channel.ts";
import { listenFramed } from "./framed/listener.ts";
import type { Keepalive } from "./framed/connection.ts";
import type { TlsIdentity } from "./tls.ts";

export interface FramedOptions {
  readonly clock: Clock;
  /** Where an address is really dialled; asked for each call. Calls in flight finish on the old way. Default: the address itself. */
  readonly dial?: ((address: string) => string) | undefined;
  /** A larger message, either way, ends its call RESOURCE_EXHAUSTED. Default 4 MiB (gRPC's). */
  readonly messageBytesMax?: number | undefined;
  /** What all peers together may make one listener keep; beyond it, the one that makes it keep most is ended. Default 512 MiB. */
  readonly memoryBytesMax?: number | undefined;
  /** Pauses between attempts to reach a peer that refuses: from `initialMs`, × 1.6 each time, up to `maxMs`. Default 100 and 1000. */
  readonly reconnect?: { readonly initialMs: number; readonly maxMs: number } | undefined;
  /**
   * While calls are in flight, a peer that is silent for `idleMs` is pinged, and given up after `timeoutMs` more. Default 20000 and 20000.
   */
  readonly keepalive?: Keepalive | undefined;
  /** Default true: other machines can't connect. */
  readonly isLoopbackOnly?: boolean | undefined;
  /** Mutual TLS, both as client and as server. Default none: bytes in the clear. */
  readonly tls?: TlsIdentity | undefined;
}

/**
 * Flyball's own framed TCP (docs/framed-tcp.md): many calls on one connection, each message behind its length. One connection an
 * address. Nothing is retried or balanced here. A peer that refuses fails calls at once with UNAVAILABLE; one that is silent lets
 * them wait until their deadlines, or until keepalive gives it up.
 */
export function framedTransport({
  clock,
  dial = (address) => address,
  messageBytesMax = 4 * 1024 * 1024,
  memoryBytesMax,
  reconnect = { initialMs: 100, maxMs: 1000 },
  keepalive = { idleMs: 20_000, timeoutMs: 20_000 },
  isLoopbackOnly = true,
  tls,
}: FramedOptions): Transport {
  const channels = new Channels(
    dial,
    (address, target) => new FramedChannel(address, target, { clock, messageBytesMax, reconnect, keepalive, tls }),
  );
  return transportOver(channels, (listen) =>
    listenFramed(listen, { clock, messageBytesMax, memoryBytesMax, isLoopbackOnly, keepalive, tls }),
  );
}
