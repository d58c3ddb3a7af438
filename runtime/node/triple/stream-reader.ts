import type { RpcError } from "../../call/status.ts";

/** A stream's messages, read from the network only as fast as somebody asks for them: HTTP/2's flow control does the rest. */
export class StreamReader implements AsyncIterableIterator<unknown> {
  readonly #decode: (bytes: Uint8Array) => unknown;
  readonly #read: () => void;
  readonly #leave: () => void;
  /** Nearly always one; who asks ahead gets the messages in the order of asking. */
  readonly #waiting: Waiting[] = [];
  #isOver = false;
  #error: RpcError | undefined;

  /** `read` asks for the next message. `leave` hears once that nobody reads what else may come. `decode` throws an `RpcError`. */
  constructor(decode: (bytes: Uint8Array) => unknown, read: () => void, leave: () => void) {
    this.#decode = decode;
    this.#read = read;
    this.#leave = leave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#read();
    });
  }

  return(): Promise<IteratorResult<unknown>> {
    this.#error = undefined;
    const wasOver = this.#isOver;
    this.#isOver = true;
    this.#dismiss();
    if (!wasOver) this.#leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  onMessage(bytes: Uint8Array): void {
    const waiting = this.#waiting.shift();
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
    if (error !== undefined) {
      // The first who waits hears of it, the others find the end; without one it waits for the next.
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#error = error;
      else waiting.reject(error);
    }
    this.#dismiss();
  }

  #dismiss(): void {
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined });
  }
}

interface Waiting {
  readonly resolve: (result: IteratorResult<unknown>) => void;
  readonly reject: (error: RpcError) => void;
}
