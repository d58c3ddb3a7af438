import type { Method } from "../../call/service.ts";
import { RpcError } from "../../call/status.ts";

/** A stream's messages, read from the network only as fast as somebody asks for them: HTTP/2's flow control does the rest. */
export class StreamReader implements AsyncIterableIterator<unknown> {
  readonly #method: Method<unknown, unknown>;
  readonly #read: () => void;
  readonly #cancel: () => void;
  #waiting: { resolve: (result: IteratorResult<unknown>) => void; reject: (error: RpcError) => void } | undefined;
  #isOver = false;
  #error: RpcError | undefined;

  constructor(method: Method<unknown, unknown>, read: () => void, cancel: () => void) {
    this.#method = method;
    this.#read = read;
    this.#cancel = cancel;
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
    if (!wasOver) this.#cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  onMessage(bytes: Uint8Array): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    try {
      waiting?.resolve({ done: false, value: this.#method.output.decode(bytes) });
    } catch (cause) {
      void this.return();
      waiting?.reject(unreadable(this.#method, cause));
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

/** The error of a call whose reply its codec doesn't understand. */
export const unreadable = (method: Method<unknown, unknown>, cause: unknown): RpcError =>
  new RpcError(`the reply to ${method.path} is malformed`, {
    code: "INTERNAL",
    hint: "do both sides use the same interface description and codec?",
    reach: "answered",
    cause,
  });
