import type { RpcError } from "../../call/status.ts";

/** A stream's messages, read from the network only as fast as somebody asks for them: HTTP/2's flow control does the rest. */
export class StreamReader implements AsyncIterableIterator<unknown> {
  readonly #decode: (bytes: Uint8Array) => unknown;
  readonly #read: () => void;
  readonly #leave: () => void;
  #waiting: { resolve: (result: IteratorResult<unknown>) => void; reject: (error: RpcError) => void } | undefined;
  #isOver = false;
  #error: RpcError | undefined;

  /** `read` asks for the next message. `leave` hears once that nobody reads any more, though there may be more. `decode` throws an `RpcError`. */
  constructor(decode: (bytes: Uint8Array) => unknown, read: () => void, leave: () => void) {
    this.#decode = decode;
    this.#read = read;
    this.#leave = leave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** One at a time, as `for await` asks. */
  next(): Promise<IteratorResult<unknown>> {
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#read();
    });
  }

  return(): Promise<IteratorResult<unknown>> {
    this.#error = undefined;
    const wasOver = this.#isOver;
    this.#isOver = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ done: true, value: undefined });
    if (!wasOver) this.#leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  onMessage(bytes: Uint8Array): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    try {
      waiting?.resolve({ done: false, value: this.#decode(bytes) });
    } catch (error) {
      void this.return();
      waiting?.reject(error as RpcError);
    }
  }

  onEnd(error: RpcError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#error = error;
    else if (error === undefined) waiting.resolve({ done: true, value: undefined });
    else waiting.reject(error);
  }
}
