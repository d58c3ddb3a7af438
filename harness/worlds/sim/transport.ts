import type { Call } from "../../../runtime/call/call.ts";
import { takesStream, type Method } from "../../../runtime/call/service.ts";
import { RpcError } from "../../../runtime/call/status.ts";
import type { Listener, ListenOptions, Response, Transport } from "../../../runtime/ports/transport.ts";
import type { SimHost } from "./network.ts";
import { portOf } from "./transport/address.ts";
import { Channel } from "./transport/channel.ts";
import { ClientStream } from "./transport/client-stream.ts";
import { SimListener } from "./transport/listener.ts";
import type { SimTransportOptions } from "./transport/options.ts";

/**
 * The `Transport` of a simulated process. One connection for each address, made on the first call, kept, and made again as
 * the real transports do it (`Reconnecting`): where it couldn't be made, calls fail at once for 100 ms, then for 1.6 times as long each
 * time, and the first one after that tries again; one that broke is made again by the next call.
 */
export class SimTransport implements Transport {
  readonly options: SimTransportOptions;
  readonly #channels = new Map<string, Channel>();
  /** Those that get no new calls, until their last one has ended. */
  readonly #leaving = new Set<Channel>();
  readonly #listeners = new Set<SimListener>();
  #isClosed = false;

  constructor(options: SimTransportOptions) {
    this.options = options;
  }

  async listen({ address, methods }: ListenOptions): Promise<Listener> {
    const { host, process } = this.options;
    const wanted = portOf(address);
    const port = wanted === 0 ? freePort(host) : wanted;
    if (host.acceptors.has(port)) {
      throw new RpcError(`${address} is taken`, { code: "UNAVAILABLE", hint: "listen at another port, or at port 0" });
    }
    const listener = new SimListener(this.options, port, methods);
    if (process.isAlive) {
      host.acceptors.set(port, listener);
      this.#listeners.add(listener);
    }
    return listener;
  }

  invoke(address: string, method: Method<unknown, unknown>, call: Call, request: unknown): Promise<Response> {
    if (this.#isClosed) return Promise.reject(new RpcError("this transport is closed", { code: "UNAVAILABLE" }));
    let channel = this.#channels.get(address);
    if (channel === undefined) this.#channels.set(address, (channel = new Channel(this.options, address)));
    const stream = new ClientStream(method, call, takesStream(method) ? request : method.input.copy(request));
    channel.start(stream);
    return stream.response;
  }

  release(address: string): void {
    const channel = this.#channels.get(address);
    if (channel === undefined) return;
    this.#channels.delete(address);
    this.#leaving.add(channel);
    channel.retire(() => this.#leaving.delete(channel));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const channel of [...this.#channels.values(), ...this.#leaving]) channel.close();
    for (const listener of this.#listeners) await listener.close();
  }
}

/** A port that nobody listens at, and a new one each time, as kernels choose them. */
function freePort(host: SimHost): number {
  do {
    host.lastFreePort = host.lastFreePort === 60_999 ? 32_768 : host.lastFreePort + 1;
  } while (host.acceptors.has(host.lastFreePort));
  return host.lastFreePort;
}
