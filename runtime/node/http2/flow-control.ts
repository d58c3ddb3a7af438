import { int31Max } from "./frames.ts";

/**
 * RFC 9113 section 5.2: what may be sent to the peer, on a stream or on the whole connection. A stream's may become negative, when the
 * peer lowers its INITIAL_WINDOW_SIZE (section 6.9.2).
 */
export class SendWindow {
  size: number;

  constructor(size: number) {
    this.size = size;
  }

  /** False when the window would become larger than any may be (section 6.9.1). */
  grow(by: number): boolean {
    this.size += by;
    return this.size <= int31Max;
  }
}

/**
 * What the peer may send. Room is given back when bytes have been consumed, in portions of half the window, so that not each of them
 * costs a WINDOW_UPDATE.
 */
export class ReceiveWindow {
  readonly #whole: number;
  #left: number;
  #consumed = 0;

  constructor(whole: number) {
    this.#whole = whole;
    this.#left = whole;
  }

  /** What the peer may still send; less than nothing where it sent more. */
  get left(): number {
    return this.#left;
  }

  /** False when the peer sent more than it may. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** How much to grant the peer now; 0 while that can wait. */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed < this.#whole / 2) return 0;
    const grant = this.#consumed;
    this.#consumed = 0;
    this.#left += grant;
    return grant;
  }
}
