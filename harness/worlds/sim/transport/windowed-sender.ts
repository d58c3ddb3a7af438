import { StreamSender, type StreamSink } from "../../../../runtime/call/stream-sender.ts";

/**
 * How many messages of a stream may be on their way or unread: who gives them waits while they are so many, as with HTTP/2's flow
 * control (RFC 9113, 5.2), which counts bytes: 64 KiB are so many of 256 bytes.
 */
const unreadMax = 256;
/** A reader tells the sender each time that it has taken so many. */
export const roomStep = unreadMax / 2;

/** Sends a stream's messages as long as its reader has room for them. */
export class WindowedSender implements StreamSink {
  /** Resolves when the last one is sent; rejects with what the stream threw. */
  readonly sent: Promise<void>;
  readonly #send: (message: unknown) => void;
  readonly #sender: StreamSender;
  #unread = 0;

  constructor(messages: AsyncIterable<unknown>, send: (message: unknown) => void) {
    this.#send = send;
    this.#sender = new StreamSender(messages, this);
    this.sent = this.#sender.sent;
  }

  get isWritable(): boolean {
    return this.#unread < unreadMax;
  }

  send(message: unknown): void {
    this.#unread++;
    this.#send(message);
  }

  /** The reader has taken `roomStep` messages more. */
  onRoom(): void {
    this.#unread -= roomStep;
    this.#sender.onDrain();
  }

  /** Nobody reads any more. */
  stop(): void {
    this.#sender.stop();
  }
}
