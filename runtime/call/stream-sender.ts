/** Where a stream's messages go. */
export interface StreamSink {
  /** Throws for a message that can't be sent. */
  send(message: unknown): void;
  /** False: there is no room for more until `onDrain`. */
  readonly isWritable: boolean;
}

/** Takes a stream's messages one at a time, each when there is room for it, and sends them. */
export class StreamSender {
  /** Resolves when the last one is sent; rejects with what the stream or `send` threw. Never, once it was stopped. */
  readonly sent: Promise<void>;
  readonly #messages: AsyncIterator<unknown>;
  readonly #sink: StreamSink;
  #isOver = false;
  #waitsForRoom = false;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(messages: AsyncIterable<unknown>, sink: StreamSink) {
    this.#messages = messages[Symbol.asyncIterator]();
    this.#sink = sink;
    this.sent = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#take();
  }

  onDrain(): void {
    if (!this.#waitsForRoom || this.#isOver) return;
    this.#waitsForRoom = false;
    this.#take();
  }

  /** Nobody reads any more. What gives the messages is told and not waited for: it may be stuck in a wait of its own. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#messages.return?.().catch(() => undefined);
  }

  #take(): void {
    this.#messages.next().then(
      (next) => this.#taken(next),
      (error: unknown) => {
        if (this.#isOver) return;
        this.#isOver = true;
        this.#reject(error);
      },
    );
  }

  #taken(next: IteratorResult<unknown>): void {
    if (this.#isOver) return;
    if (next.done === true) {
      this.#isOver = true;
      return this.#resolve();
    }
    try {
      this.#sink.send(next.value);
    } catch (error) {
      this.stop();
      return this.#reject(error);
    }
    if (this.#sink.isWritable) this.#take();
    else this.#waitsForRoom = true;
  }
}
