import type { RpcError } from "../../runtime/call/status.ts";

/** One side's messages, as somebody waits for them: no more is read than was asked for. */
export class Inbox {
  readonly #read: () => void;
  #waiting: { resolve: (message: Buffer | undefined) => void; reject: (error: RpcError) => void } | undefined;
  #outcome: { readonly error: RpcError | undefined } | undefined;

  constructor(read: () => void) {
    this.#read = read;
  }

  /** The next message, one at a time; undefined after the last one. Rejects when the call failed. */
  next(): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#outcome === undefined) this.#read();
      else this.#settle(this.#outcome.error);
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (let message = await this.next(); message !== undefined; message = await this.next()) yield message;
  }

  onMessage(message: Buffer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    // A message is lent: it is gone when this returns.
    waiting?.resolve(Buffer.from(message));
  }

  onEnd(error?: RpcError): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = { error };
    this.#settle(error);
  }

  #settle(error: RpcError | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (error === undefined) waiting?.resolve(undefined);
    else waiting?.reject(error);
  }
}
