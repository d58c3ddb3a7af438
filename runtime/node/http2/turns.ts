import type { SendWindow } from "./flow-control.ts";
import type { Http2Stream } from "./stream.ts";

/** The streams of a connection that have something to send, in turn: one frame each, while there is room. */
export class Turns {
  readonly #sendWindow: SendWindow;
  readonly #ready = new Set<Http2Stream>();
  /** Those that couldn't send because the connection's window was empty. */
  readonly #blocked = new Set<Http2Stream>();

  /** The window is the connection's. */
  constructor(sendWindow: SendWindow) {
    this.#sendWindow = sendWindow;
  }

  /** How many have one, now or when the connection's window grows. */
  get size(): number {
    return this.#ready.size + this.#blocked.size;
  }

  /** Behind the others; one that has a turn already keeps it. */
  add(stream: Http2Stream): void {
    this.#ready.add(stream);
  }

  /** It is over: a peer that takes nothing, and begins and resets streams all the same, leaves nothing here. */
  remove(stream: Http2Stream): void {
    this.#ready.delete(stream);
    this.#blocked.delete(stream);
  }

  take(hasRoom: () => boolean): void {
    // What is added meanwhile has its turn, too.
    for (const stream of this.#ready) {
      if (!hasRoom()) return;
      this.#ready.delete(stream);
      if (stream.sendQueued()) this.add(stream);
      else if (this.#sendWindow.size <= 0 && !stream.isClosed) {
        // It may be the connection's window that is empty: all of them wait for the same WINDOW_UPDATE.
        this.#blocked.add(stream);
      }
    }
  }

  /** The connection's window has grown: it is for as many of them as it lasts for, or each bit of it would cost a look at all. */
  unblock(): void {
    for (const stream of this.#blocked) {
      if (this.#sendWindow.size <= 0) return;
      this.#blocked.delete(stream);
      stream.wake();
    }
  }
}
