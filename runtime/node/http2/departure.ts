import type { Clock } from "../../ports/clock.ts";
import { errorCodes } from "./errors.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { int31Max } from "./frames.ts";

/** A drain waits so long for the peer to have heard of it. */
const hearWithinUs = 1_000_000;
const leavePing = Buffer.from("flyball!");

/** The connection that ends, as its departure sees it. */
export interface Departing {
  readonly isClient: boolean;
  /** The last stream that the peer has begun. */
  readonly lastPeerId: number;
  /** Streams that haven't ended. */
  readonly streamCount: number;
  /** Sends what is left, and ends this side. */
  endInOrder(): void;
}

/**
 * How a connection ends in good order (RFC 9113 section 6.8). A server that goes says so twice: first with a GOAWAY that names no stream,
 * and a PING whose answer comes behind whatever the client sent before it heard; then with one that names the last stream that it serves. A
 * client has nothing to refuse, and says it as it goes. Either ends the connection after the last stream.
 */
export class Departure {
  /** The last stream that this side serves: what its final GOAWAY said. */
  lastServedId = int31Max;
  readonly #clock: Clock;
  readonly #writer: FrameWriter;
  readonly #connection: Departing;
  #isLeaving = false;
  /** The last word has been said. */
  #hasEnded = false;
  #onHeard: (() => void) | undefined;
  #stopWaiting: (() => void) | undefined;

  constructor(ports: { readonly clock: Clock; readonly writer: FrameWriter }, connection: Departing) {
    this.#clock = ports.clock;
    this.#writer = ports.writer;
    this.#connection = connection;
  }

  /** This side goes. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    if (this.#connection.isClient) return this.endWhenIdle();
    this.#writer.goaway(int31Max, errorCodes.noError, "");
    const finish = (): void => {
      this.stop();
      this.lastServedId = this.#connection.lastPeerId;
      this.#writer.goaway(this.lastServedId, errorCodes.noError, "");
      this.endWhenIdle();
    };
    this.#stopWaiting = this.#clock.after(hearWithinUs, finish);
    this.#onHeard = finish;
    this.#writer.ping(leavePing);
  }

  /** A PING has been answered. */
  answered(payload: Buffer): void {
    if (payload.equals(leavePing)) this.#onHeard?.();
  }

  /** One of both sides goes, and a stream may have been the last one. */
  endWhenIdle(): void {
    const { streamCount, isClient, lastPeerId } = this.#connection;
    if (streamCount > 0 || this.#onHeard !== undefined || this.#hasEnded) return;
    this.#hasEnded = true;
    // An answer couldn't go any more.
    this.lastServedId = Math.min(this.lastServedId, lastPeerId);
    if (isClient) this.#writer.goaway(0, errorCodes.noError, "");
    this.#connection.endInOrder();
  }

  /** Nobody waits for the peer to have heard. */
  stop(): void {
    this.#stopWaiting?.();
    this.#onHeard = undefined;
  }
}
