import type { RpcError } from "../../../../runtime/call/status.ts";
import { roomStep } from "./windowed-sender.ts";

/** Messages of a stream between their arrival and their reader. */
export class MessageQueue implements AsyncIterableIterator<unknown> {
  readonly #onRoom: () => void;
  readonly #onLeave: () => void;
  /** Taken since `onRoom` was last told. */
  #taken = 0;
  #messages: unknown[] = [];
  #readers: { resolve: (result: IteratorResult<unknown>) => void; reject: (error: RpcError) => void }[] = [];
  #isEnded = false;
  #error: RpcError | undefined;

  /** `onRoom`: `roomStep` messages more are taken. `onLeave`: the reader wants no more of them. */
  constructor({ onRoom, onLeave }: { readonly onRoom: () => void; readonly onLeave: () => void }) {
    this.#onRoom = onRoom;
    this.#onLeave = onLeave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(message: unknown): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ done: false, value: message });
    else if (!this.#isEnded) return void this.#messages.push(message);
    this.#took();
  }

  end(): void {
    this.#isEnded = true;
    for (const reader of this.#readers.splice(0)) reader.resolve(noMore);
  }

  fail(error: RpcError): void {
    this.#isEnded = true;
    // The first reader hears of it, the others find the end; without one it waits for the next.
    const reader = this.#readers.shift();
    if (reader === undefined) this.#error = error;
    else reader.reject(error);
    this.end();
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#messages.length > 0) {
      this.#took();
      return Promise.resolve({ done: false, value: this.#messages.shift() });
    }
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#isEnded) return Promise.resolve(noMore);
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  #took(): void {
    if (++this.#taken < roomStep) return;
    this.#taken = 0;
    this.#onRoom();
  }

  async return(): Promise<IteratorResult<unknown>> {
    const left = this.#messages.splice(0).length;
    this.#error = undefined;
    if (!this.#isEnded) {
      this.#onLeave();
      // Leaving is no error for the one who leaves.
      this.#error = undefined;
      this.end();
    }
    // What nobody reads takes no room.
    for (let index = 0; index < left; index++) this.#took();
    return noMore;
  }
}

const noMore: IteratorResult<unknown> = { done: true, value: undefined };
