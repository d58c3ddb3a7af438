import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

import type { Clock } from "../../../runtime/ports/clock.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import { sampleAddedLatency } from "../latency.ts";
import { WorldError } from "../error.ts";
import type { FleetLink, LinkShape } from "../world.ts";
import { Lane, nextRetransmissionUs } from "./lane.ts";

export interface PairProxyOptions {
  /** "consumer/0 → orders/1": for messages. */
  readonly name: string;
  /** Where connections are accepted; port 0 takes a free one. */
  readonly listen: Place;
  /** Where they lead. */
  readonly destination: Place;
}

/** A host, by name or address, and one of its ports. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/**
 * The connections that one node makes to another, led through a listener of their own so that they can be shaped without root.
 *
 * It hides as little as it can: while the destination is dead the listener is closed, so that the refusal is a real one; a paused
 * destination's kernel accepts and stays silent, and so does the proxy. What it can't do is leave a connection attempt unanswered:
 * during a cut the source's kernel reports a connection on which nothing ever comes.
 */
export class PairProxy implements FleetLink {
  readonly #ports: { readonly clock: Clock; readonly random: Random };
  readonly #options: PairProxyOptions;
  readonly #connections = new Set<Connection>();
  #port: number;
  #server: Server | undefined;
  /** As the faults on this link want it. */
  #asked: LinkShape = {};
  /** How many of its two ends have no cable. */
  #unplugged = 0;
  #isDestinationAlive = true;
  #isClosed = false;
  /** Listeners open and close one after the other. */
  #settled: Promise<void> = Promise.resolve();

  constructor(ports: { readonly clock: Clock; readonly random: Random }, options: PairProxyOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#port = options.listen.port;
  }

  /** Resolves when it accepts connections. */
  async open(): Promise<void> {
    await this.#settle();
  }

  /** Where it listens, or did last. */
  get address(): string {
    return `${this.#options.listen.host}:${this.#port}`;
  }

  /** How many connections it leads now. */
  get connections(): number {
    return this.#connections.size;
  }

  async shape(shape: LinkShape): Promise<void> {
    this.#asked = shape;
    if (shape.isRefusing === true) this.#resetAll();
    await this.#reshape();
  }

  /** One of its ends is taken off the network, or brought back. */
  async setConnected(isConnected: boolean): Promise<void> {
    this.#unplugged += isConnected ? -1 : 1;
    await this.#reshape();
  }

  async reset(): Promise<void> {
    this.#resetAll();
  }

  /** The destination's process ended, or came back. */
  async setDestinationAlive(isAlive: boolean): Promise<void> {
    this.#isDestinationAlive = isAlive;
    await this.#settle();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#resetAll();
    await this.#settle();
  }

  /** Without a cable nothing passes, whatever else is asked of the link. */
  get #shape(): LinkShape {
    return this.#unplugged > 0 ? { ...this.#asked, cut: "both" } : this.#asked;
  }

  async #reshape(): Promise<void> {
    const shape = this.#shape;
    for (const connection of this.#connections) connection.setShape(shape);
    await this.#settle();
  }

  #resetAll(): void {
    for (const connection of [...this.#connections]) connection.reset();
  }

  /** Behind a cut nobody learns that the destination is dead. */
  get #shouldListen(): boolean {
    if (this.#isClosed || this.#shape.isRefusing === true) return false;
    return this.#isDestinationAlive || this.#shape.cut !== undefined;
  }

  #settle(): Promise<void> {
    const settle = async (): Promise<void> => {
      if (this.#shouldListen && this.#server === undefined) await this.#listen();
      if (!this.#shouldListen) this.#refuse();
    };
    // A failure belongs to whoever asked for this change, not to the next one.
    const settled = this.#settled.then(settle, settle);
    this.#settled = settled;
    return settled;
  }

  #refuse(): void {
    // Closing takes effect at once; the event comes when the last connection has gone.
    this.#server?.close();
    this.#server = undefined;
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#accept(near));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        const why = cause.code === "EADDRINUSE" ? "the port is taken by another process" : cause.message;
        reject(
          new WorldError(`the link ${this.#options.name} can't listen at ${this.address}: ${why}`, {
            code: "UNAVAILABLE",
            hint: "run it again: each run takes other ports",
            cause,
          }),
        );
      });
      server.listen({ host: this.#options.listen.host, port: this.#port }, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  #accept(near: Socket): void {
    const connection = new Connection(this.#ports, {
      near,
      destination: this.#options.destination,
      shape: this.#shape,
    });
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }
}

/** One connection: the source's half (near), the destination's half (far), and a lane in each direction. */
class Connection {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #destination: Place;
  readonly #near: Socket;
  readonly #forward: Lane;
  readonly #openedUs: number;
  #far: Socket | undefined;
  #backward: Lane | undefined;
  #shape: LinkShape;
  #cancelHandshake: (() => void) | undefined;
  #isClosed = false;
  #close!: () => void;
  /** Resolves when both halves are gone. */
  readonly closed: Promise<void> = new Promise((resolve) => (this.#close = resolve));

  constructor(
    ports: { readonly clock: Clock; readonly random: Random },
    options: { readonly near: Socket; readonly destination: Place; readonly shape: LinkShape },
  ) {
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#near = options.near;
    this.#destination = options.destination;
    this.#shape = options.shape;
    this.#openedUs = ports.clock.nowUs();
    // Reading begins at once: a source that gives up is noticed, and its bytes wait in the lane.
    this.#forward = new Lane(ports, { isForward: true, source: options.near, shape: options.shape });
    options.near.once("close", () => this.#halfClosed());
    const { latency } = options.shape;
    const roundTripUs =
      latency === undefined ? 0 : sampleAddedLatency(latency, this.#random) + sampleAddedLatency(latency, this.#random);
    this.#handshakeAt(this.#openedUs + roundTripUs);
  }

  setShape(shape: LinkShape): void {
    const wasCut = this.#shape.cut !== undefined;
    this.#shape = shape;
    this.#forward.setShape(shape);
    this.#backward?.setShape(shape);
    if (wasCut && shape.cut === undefined && this.#far === undefined) {
      this.#handshakeAt(nextRetransmissionUs(this.#openedUs, this.#clock.nowUs()));
    }
  }

  reset(): void {
    this.#cancelHandshake?.();
    this.#near.resetAndDestroy();
    this.#far?.resetAndDestroy();
    this.#halfClosed();
  }

  /** Connects to the destination at that moment; a cut in either direction keeps a handshake from ending. */
  #handshakeAt(atUs: number): void {
    this.#cancelHandshake?.();
    this.#cancelHandshake = undefined;
    if (this.#shape.cut !== undefined) return;
    const leftUs = atUs - this.#clock.nowUs();
    if (leftUs > 0) this.#cancelHandshake = this.#clock.after(leftUs, () => this.#handshakeAt(atUs));
    else this.#connect();
  }

  #connect(): void {
    const far = connect({ ...this.#destination, allowHalfOpen: true, noDelay: true });
    this.#far = far;
    this.#backward = new Lane(
      { clock: this.#clock, random: this.#random },
      { isForward: false, source: far, shape: this.#shape },
    );
    this.#backward.open(this.#near);
    far.once("connect", () => this.#forward.open(far));
    far.once("close", () => this.#halfClosed());
  }

  #halfClosed(): void {
    if (this.#isClosed || !this.#near.destroyed) return;
    // A source that has gone before its connection was made leaves nothing to tell.
    if (this.#far !== undefined && !this.#far.destroyed) return;
    this.#isClosed = true;
    this.#cancelHandshake?.();
    this.#forward.close();
    this.#backward?.close();
    this.#close();
  }
}
