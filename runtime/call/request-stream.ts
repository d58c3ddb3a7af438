import type { Codec } from "../codec/codec.ts";
import { RpcError } from "./status.ts";

/**
 * The messages that a client streams, as a transport takes them: made by the method's codec one at a time. They can be taken once: whoever
 * has taken the first one (`isTaken`) has all that follow, so such a call isn't repeated.
 */
export class RequestStream implements AsyncIterableIterator<unknown> {
  readonly #source: AsyncIterator<unknown> | Iterator<unknown>;
  readonly #input: Codec<unknown>;
  #isTaken = false;
  #isOver = false;

  /** Throws INVALID_ARGUMENT for what can't be iterated. */
  constructor(source: unknown, input: Codec<unknown>, path: string) {
    this.#input = input;
    this.#source = iteratorOf(source, path);
  }

  /** Somebody has asked for its first message. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown>> {
    this.#isTaken = true;
    if (this.#isOver) return { done: true, value: undefined };
    const next: IteratorResult<unknown> = await this.#source.next();
    if (next.done !== true) return { done: false, value: this.#input.create(next.value) };
    this.#isOver = true;
    return { done: true, value: undefined };
  }

  /** Nobody takes any more: what gives the messages hears so, once. It isn't waited for: it may be in the middle of something. */
  return(): Promise<IteratorResult<unknown>> {
    if (!this.#isOver) {
      this.#isOver = true;
      void leave(this.#source);
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}

/** What it still throws as it leaves concerns nobody. */
async function leave(source: AsyncIterator<unknown> | Iterator<unknown>): Promise<void> {
  try {
    await source.return?.();
  } catch {
    // Its call is over.
  }
}

function iteratorOf(source: unknown, path: string): AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return (source as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in source) return (source as Iterable<unknown>)[Symbol.iterator]();
  }
  throw new RpcError(`${path} takes a stream of messages`, {
    code: "INVALID_ARGUMENT",
    hint: "pass something to iterate over: an async generator, or an array",
  });
}
