import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Subscription } from "../ports/registry.ts";
import { createBackoff } from "./backoff.ts";
import { Call } from "./call.ts";
import { RpcError, toRpcError } from "./status.ts";

export interface LastingStreamOptions<T> {
  readonly clock: Clock;
  readonly random: Random;
  /** What is watched, for messages: "registry". */
  readonly service: string;
  /** Opens the stream once, under `parent`; called again after it ended. A rejection is followed by another try. */
  readonly open: (parent: Call) => Promise<AsyncIterable<T>>;
  readonly onMessage: (message: T) => void;
  /** The stream ended, or couldn't be opened. */
  readonly onBroken?: (error: RpcError) => void;
  /**
   * A stream without a message for so long counts as broken: the server promises a heartbeat in a third of it. This is how a
   * half-open connection is noticed, whose peer went away without a word.
   */
  readonly silenceUs: () => number;
}

/** A server's stream that is opened again, with backoff, whenever it breaks, until it is closed. */
export function lastingStream<T>(options: LastingStreamOptions<T>): Subscription {
  return new LastingStream(options);
}

class LastingStream<T> implements Subscription {
  readonly #options: LastingStreamOptions<T>;
  readonly #backoff;
  /** The stream that counts. Messages of one that was given up are dropped, even when it goes on. */
  #current: Call | undefined;
  #heardUs = 0;
  #disarm: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LastingStreamOptions<T>) {
    this.#options = options;
    this.#backoff = createBackoff(options.random);
    this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.#disarm?.();
    const call = this.#current;
    this.#current = undefined;
    call?.cancel();
  }

  #open(): void {
    const { clock, service } = this.#options;
    const call = new Call({ clock, service, method: "" });
    this.#current = call;
    this.#heardUs = clock.nowUs();
    this.#guard(call);
    void this.#read(call);
  }

  async #read(call: Call): Promise<void> {
    try {
      for await (const message of await this.#options.open(call)) {
        if (this.#current !== call) return;
        this.#heardUs = this.#options.clock.nowUs();
        this.#backoff.reset();
        this.#options.onMessage(message);
      }
      this.#broken(call, new RpcError("the stream ended", { code: "UNAVAILABLE" }));
    } catch (error) {
      this.#broken(call, toRpcError(error));
    } finally {
      call.end();
    }
  }

  #broken(call: Call, error: RpcError): void {
    if (this.#current !== call) return;
    this.#current = undefined;
    this.#disarm?.();
    call.cancel(error);
    this.#options.onBroken?.(error);
    if (!this.#isClosed) this.#disarm = this.#options.clock.after(this.#backoff.nextUs(), () => this.#open());
  }

  /** One rolling timer, however many messages come. */
  #guard(call: Call): void {
    const { clock, silenceUs, service } = this.#options;
    const leftUs = this.#heardUs + silenceUs() - clock.nowUs();
    if (leftUs > 0) this.#disarm = clock.after(leftUs, () => this.#guard(call));
    else this.#broken(call, new RpcError(`${service} said nothing for too long`, { code: "UNAVAILABLE" }));
  }
}
