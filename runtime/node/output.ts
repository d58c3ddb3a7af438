import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Holds some hundred small calls, or several of 10 KiB; larger needs get a slab of their own size. */
const slabBytes = 64 * 1024;

/**
 * Of a turn that makes more, so many frames and bytes go ahead at a time: the peer works on those while this side makes the next, where
 * they would wait for one another. 16 calls of 100 bytes take two writes then, and on two cores are half as fast again.
 */
const aheadFrames = 8;
const aheadBytes = 1500;

const nothing = Buffer.alloc(0);

/**
 * What a connection is about to send. Frames are written one behind the other into a slab, and what one turn of the event loop made goes at
 * its end with one write, unless it is so much that parts of it go ahead. A slab that the kernel has copied whole is written from its
 * beginning again, which keeps it in the CPU's cache and leaves nothing to collect; bytes that wait for the peer, or that somebody else may
 * have, are never touched again.
 */
export class Output {
  /** Where to write, from `at` on; valid until `room` is called again. */
  bytes = nothing;
  at = 0;
  readonly #socket: Duplex;
  readonly #flush = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
  readonly #isSocket: boolean;
  #from = 0;
  /** Since the last write. */
  #frames = 0;
  #isScheduled = false;
  #isFull = false;

  /** `onDrain`: there is room again after `isFull`. */
  constructor(socket: Duplex, onDrain: () => void) {
    this.#socket = socket;
    this.#isSocket = socket instanceof Socket;
    socket.on("drain", () => {
      this.#isFull = false;
      onDrain();
    });
  }

  /** The peer doesn't read as fast as this side writes: what can wait should. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Bytes that the socket hasn't got rid of. */
  get unsentBytes(): number {
    return this.#socket.writableLength + this.at - this.#from;
  }

  /** There is room for so many bytes at `at`, a frame of them, and they go by the end of this turn. */
  room(bytes: number): void {
    // What the kernel doesn't take at once gets there no sooner in parts.
    const isMuch = this.#frames >= aheadFrames && this.at - this.#from >= aheadBytes;
    if (isMuch && this.#socket.writableLength === 0) this.flush();
    this.#frames++;
    if (this.bytes.length - this.at < bytes) this.flush();
    // Unless that has made room: what has gone whole is written from its beginning again.
    if (this.bytes.length - this.at < bytes) {
      this.bytes = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes));
      this.at = 0;
      this.#from = 0;
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After the promises of this turn: they make more of it.
    process.nextTick(this.#flush);
  }

  /** Writes a copy. */
  push(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  flush(): void {
    if (this.at === this.#from) return;
    const filled = this.bytes.subarray(this.#from, this.at);
    this.#from = this.at;
    this.#frames = 0;
    if (this.#socket.writable && !this.#socket.write(filled)) this.#isFull = true;
    if (this.#isSocket && this.#socket.writableLength === 0) this.at = this.#from = 0;
    if (this.bytes.length <= slabBytes) return;
    // What was large enough for one of them isn't kept for the small ones.
    this.bytes = nothing;
    this.at = this.#from = 0;
  }
}
