import type { RpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import { unavailable } from "./unavailable.ts";

/** A connection, as the way to an address keeps it. */
export interface KeptConnection {
  /** Takes no new calls, and ends with the last one that it has. */
  leave(): void;
  /** Ends with all its calls, now. */
  reset(error: RpcError): void;
}

/** What a connection tells whoever keeps it. */
export interface ConnectionLife {
  /** The peer is there: calls may go. */
  readonly onReady: () => void;
  /** It takes no new calls. */
  readonly onLeaving: () => void;
  readonly onLost: (error: RpcError, wasReady: boolean) => void;
}

export interface ReconnectingOptions<Connection> {
  /** The address that callers know. */
  readonly address: string;
  readonly clock: Clock;
  /** Pauses between attempts to reach a peer that refuses: from `initialMs`, × 1.6 each time, up to `maxMs`. */
  readonly reconnect: { readonly initialMs: number; readonly maxMs: number };
  readonly connect: (life: ConnectionLife) => Connection;
}

/**
 * The way to one address: one connection, made when the first call wants it and again when a call finds it gone. While the peer
 * refuses, calls fail at once, and the next attempt is made by the first call after a pause.
 */
export class Reconnecting<Connection extends KeptConnection> {
  readonly #options: ReconnectingOptions<Connection>;
  /** Takes new calls. */
  #current: Connection | undefined;
  /** Every one that still has calls. */
  readonly #connections = new Set<Connection>();
  #pauseMs: number;
  #refusedUntilUs = 0;
  #why = "";
  #onGone: (() => void) | undefined;

  constructor(options: ReconnectingOptions<Connection>) {
    this.#options = options;
    this.#pauseMs = options.reconnect.initialMs;
  }

  /** The connection for a new call. Throws UNAVAILABLE while the peer refuses. */
  take(): Connection {
    if (this.#current !== undefined) return this.#current;
    const { address, clock } = this.#options;
    if (clock.nowUs() < this.#refusedUntilUs) {
      throw unavailable(`${address} can't be reached: ${this.#why}`, { reach: "nowhere" });
    }
    return (this.#current = this.#connect());
  }

  /** For a channel that gets no new calls: its connections go when those in flight have ended, and `onGone` hears when all have. */
  retire(onGone: () => void): void {
    this.#current = undefined;
    this.#onGone = onGone;
    for (const connection of [...this.#connections]) connection.leave();
    this.#goneWhenEmpty();
  }

  close(): void {
    this.#current = undefined;
    for (const connection of this.#connections) connection.reset(unavailable("the transport was closed"));
  }

  #goneWhenEmpty(): void {
    if (this.#connections.size === 0) this.#onGone?.();
  }

  #connect(): Connection {
    const { clock, reconnect, connect } = this.#options;
    const beganUs = clock.nowUs();
    const connection = connect({
      onReady: () => {
        this.#pauseMs = reconnect.initialMs;
      },
      onLeaving: () => {
        if (this.#current === connection) this.#current = undefined;
      },
      onLost: (error, wasReady) => {
        this.#connections.delete(connection);
        if (this.#current === connection) this.#current = undefined;
        this.#goneWhenEmpty();
        if (wasReady) return;
        this.#why = error.message;
        this.#refusedUntilUs = beganUs + this.#pauseMs * 1000;
        this.#pauseMs = Math.min(this.#pauseMs * 1.6, reconnect.maxMs);
      },
    });
    this.#connections.add(connection);
    return connection;
  }
}
