import type { Socket } from "node:net";

import { RpcError } from "../../call/status.ts";
import type { Clock } from "../../ports/clock.ts";
import { Allowance } from "../allowance.ts";
import { hearBytes } from "../input.ts";
import { Output } from "../output.ts";
import type { PeerMemory } from "../peer-memory.ts";
import { unavailable } from "../unavailable.ts";
import {
  decodeHello,
  encodeHello,
  encodeText,
  extraBytesMax,
  frameTypes,
  FrameSplitter,
  malformed,
  protocolVersion,
  writeFrame,
} from "./wire.ts";
import type { Frame, Hello } from "./wire.ts";

export interface Keepalive {
  /** Silence after which the peer is asked whether it lives, while calls are in flight. */
  readonly idleMs: number;
  /** Silence after that which means that it doesn't. */
  readonly timeoutMs: number;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly messageBytesMax: number;
  readonly keepalive: Keepalive;
  /** Time for the peer's hello. Default 5 s; a client counts from the beginning of its connecting. */
  readonly helloWithinUs?: number;
  /** What this peer makes its listener keep. */
  readonly memory?: PeerMemory | undefined;
}

export interface ConnectionEvents {
  /** The peer has said hello: calls may go. */
  readonly onReady: () => void;
  /** Its payload is gone when this returns: copy what you keep. */
  readonly onFrame: (frame: Frame) => void;
  /** Gone, for this reason; nothing comes after it. */
  readonly onLost: (error: RpcError) => void;
  /** Calls are in flight: silence is asked about. */
  readonly isBusy: () => boolean;
}

/** Time for a frame that has begun, as for the hello: who drips bytes holds nothing for long. */
export const frameWithinUs = 10_000_000;
/** Bytes that a peer may leave unread before it is given up. */
export const unsentBytesMax = 64 * 1024 * 1024;

/** Frames that bring nothing, as HTTP/2's: pings, cancels, credit. A call, or a message of it in either direction, makes up for some. */
const idleFramesAllowed = { burst: 10_000, perSecond: 1000 };
const idleFramesEarned = 8;
const bringing: ReadonlySet<number> = new Set([
  frameTypes.request,
  frameTypes.accepted,
  frameTypes.message,
  frameTypes.end,
]);

/** One end of a connection: hello, frames, keepalive; and the bounds within which a peer must stay. */
export class FramedConnection {
  readonly socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #splitter: FrameSplitter;
  readonly #output: Output;
  readonly #idleFrames: Allowance;
  #peer: Hello | undefined;
  #heardUs: number;
  #disarm: () => void;
  #disarmPartial: (() => void) | undefined;
  #isOver = false;
  #keptBytes = 0;

  /** Begins with this side's hello. */
  constructor(socket: Socket, options: ConnectionOptions, events: ConnectionEvents) {
    const { clock, messageBytesMax, helloWithinUs = 5_000_000 } = options;
    this.socket = socket;
    this.#options = options;
    this.#events = events;
    const frameBytesMax = messageBytesMax + extraBytesMax;
    this.#splitter = new FrameSplitter(frameBytesMax);
    this.#idleFrames = new Allowance(clock, idleFramesAllowed);
    this.#heardUs = clock.nowUs();
    this.#disarm = clock.after(helloWithinUs, () => this.fail(malformed("no hello came in time")));
    this.#output = new Output(socket, () => this.#count());
    hearBytes(socket, (chunk) => this.#receive(chunk));
    socket.on("error", (cause) => this.#lost(unavailable("the connection broke", { cause })));
    socket.on("close", () => this.#lost(unavailable("the peer closed the connection")));
    writeFrame(this.#output, frameTypes.hello, 0, encodeHello({ version: protocolVersion, frameBytesMax }));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The longest payload that the peer takes. */
  get payloadBytesMax(): number {
    return (this.#peer?.frameBytesMax ?? 0) - 5;
  }

  send(type: number, stream: number, payload?: Uint8Array): void {
    if (this.#isOver) return;
    writeFrame(this.#output, type, stream, payload);
    if (type === frameTypes.message) this.#idleFrames.earn(idleFramesEarned);
    this.#count();
    if (this.#output.unsentBytes > unsentBytesMax) {
      this.#lost(unavailable(`the peer has left ${unsentBytesMax} bytes unread`));
      this.socket.destroy();
    }
  }

  /** Sends what is left, and goes. */
  end(): void {
    this.#output.flush();
    this.socket.end();
  }

  /** Tells the peer what it did wrong, and goes. */
  fail(error: RpcError): void {
    if (this.#isOver) return;
    writeFrame(this.#output, frameTypes.goaway, 0, encodeText(error.message));
    this.#output.flush();
    this.#lost(error);
    this.socket.destroySoon();
  }

  /** Goes at once. */
  reset(error: RpcError): void {
    // What was sent before may still get there.
    this.#output.flush();
    this.#lost(error);
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#heardUs = this.#options.clock.nowUs();
    this.#disarmPartial?.();
    this.#disarmPartial = undefined;
    try {
      for (const one of this.#splitter.push(chunk)) {
        this.#frame(one);
        if (this.#isOver) return;
      }
    } catch (error) {
      this.fail(error instanceof RpcError ? error : malformed("a frame could not be read"));
      return;
    }
    if (this.#splitter.partialBytes > 0) this.#expectRest();
    this.#count();
  }

  /** What is kept for the peer: half a frame, and what it hasn't read. */
  #count(): void {
    const bytes = this.#splitter.partialBytes + this.#output.unsentBytes;
    this.#options.memory?.add(bytes - this.#keptBytes);
    this.#keptBytes = bytes;
  }

  /** The whole frame counts, not its pieces: a byte a second doesn't keep it alive. */
  #partialSinceUs: number | undefined;

  #expectRest(): void {
    const { clock } = this.#options;
    this.#partialSinceUs ??= clock.nowUs();
    const leftUs = Math.max(0, this.#partialSinceUs + frameWithinUs - clock.nowUs());
    this.#disarmPartial = clock.after(leftUs, () => this.fail(malformed("a frame took longer than 10 s")));
  }

  #frame(one: Frame): void {
    this.#partialSinceUs = undefined;
    if (this.#peer === undefined) {
      if (one.type !== frameTypes.hello) throw malformed("the first frame isn't a hello");
      this.#peer = decodeHello(one.payload);
      if (this.#peer.version < protocolVersion) throw malformed(`version ${this.#peer.version} isn't spoken here`);
      this.#disarm();
      this.#keepAlive();
      this.#events.onReady();
      return;
    }
    if (bringing.has(one.type)) this.#idleFrames.earn(idleFramesEarned);
    else if (!this.#idleFrames.take()) {
      throw new RpcError("too many frames that bring nothing", { code: "RESOURCE_EXHAUSTED" });
    }
    if (one.type === frameTypes.ping) {
      if (one.payload.length !== 8) throw malformed("a ping has 8 bytes");
      this.send(frameTypes.pong, 0, one.payload);
    } else if (one.type !== frameTypes.pong) {
      this.#events.onFrame(one);
    }
  }

  #keepAlive(): void {
    const { clock, keepalive } = this.#options;
    const silentUs = clock.nowUs() - this.#heardUs;
    const idleUs = keepalive.idleMs * 1000;
    if (silentUs < idleUs || !this.#events.isBusy()) {
      this.#disarm = clock.after(silentUs < idleUs ? idleUs - silentUs : idleUs, () => this.#keepAlive());
      return;
    }
    this.send(frameTypes.ping, 0, Buffer.alloc(8));
    const askedUs = clock.nowUs();
    this.#disarm = clock.after(keepalive.timeoutMs * 1000, () => {
      if (this.#heardUs >= askedUs) this.#keepAlive();
      else this.reset(unavailable(`the peer has been silent for ${keepalive.idleMs + keepalive.timeoutMs} ms`));
    });
  }

  #lost(error: RpcError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#disarm();
    this.#disarmPartial?.();
    this.#events.onLost(error);
  }
}
