import type { Call } from "../call/call.ts";
import type { Method } from "../call/service.ts";
import { RpcError, toRpcError } from "../call/status.ts";
import type { Listener, Response, Transport } from "../ports/transport.ts";

/** The way to one address, as a transport keeps it. */
export interface KeptChannel {
  /** Where the address was really dialled. */
  readonly target: string;
  /** It gets no new calls: `onGone` hears when those in flight have ended and its connections are closed. */
  retire(onGone: () => void): void;
  /** Ends everything now. */
  close(): void;
}

/** One that carries calls. */
export interface CallChannel extends KeptChannel {
  /** May throw: what can't be sent, and UNAVAILABLE while the peer refuses. */
  invoke(method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response>;
}

/** A transport whose calls go over channels, whatever is spoken there. It closes what it listens at. */
export function transportOver(channels: Channels<CallChannel>, listen: Transport["listen"]): Transport {
  const listeners = new Set<Listener>();
  let isClosed = false;
  return {
    listen: async (options) => {
      const listener = await listen(options);
      listeners.add(listener);
      return listener;
    },
    invoke: (address, method, call, request) => {
      try {
        if (isClosed) throw new RpcError("the transport was closed", { code: "UNAVAILABLE" });
        if (call.reason !== undefined) throw call.reason;
        return channels.to(address).invoke(method, call, request);
      } catch (error) {
        return Promise.reject(toRpcError(error));
      }
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

/** A transport's channels, one for each address that is called: made by the first call, and again when the address is dialled elsewhere. */
export class Channels<Channel extends KeptChannel> {
  readonly #dial: (address: string) => string;
  readonly #open: (address: string, target: string) => Channel;
  readonly #channels = new Map<string, Channel>();
  /** Those that get no new calls, until their last one has ended. */
  readonly #leaving = new Set<Channel>();

  constructor(dial: (address: string) => string, open: (address: string, target: string) => Channel) {
    this.#dial = dial;
    this.#open = open;
  }

  to(address: string): Channel {
    const target = this.#dial(address);
    const known = this.#channels.get(address);
    if (known?.target === target) return known;
    const channel = this.#open(address, target);
    if (known !== undefined) this.#retire(known);
    this.#channels.set(address, channel);
    return channel;
  }

  /** Lets go of an address: see `Transport.release`. */
  release(address: string): void {
    const channel = this.#channels.get(address);
    if (channel === undefined) return;
    this.#channels.delete(address);
    this.#retire(channel);
  }

  close(): void {
    for (const channel of [...this.#channels.values(), ...this.#leaving]) channel.close();
    this.#channels.clear();
    this.#leaving.clear();
  }

  #retire(channel: Channel): void {
    this.#leaving.add(channel);
    channel.retire(() => this.#leaving.delete(channel));
  }
}
