import { errorCodes } from "./errors.ts";
import { SendWindow, type ReceiveWindow } from "./flow-control.ts";
import type { Fields } from "./hpack/field-list.ts";
import type { FieldBlock } from "./hpack/encoder.ts";

/** What a stream's owner hears. Nothing comes after `onReset`, and nothing from the peer after an `isEnd`. */
export interface StreamEvents {
  /** The beginning of a request (a server's owner gets it with the stream) or a response; or trailers, with `isEnd`. */
  onFields(fields: Fields, isEnd: boolean): void;
  /**
   * `bytes` is a view of what was received, and is gone when this returns: copy what you keep. Give its room back with `consumed` when it
   * has been dealt with.
   */
  onData(bytes: Buffer, isEnd: boolean): void;
  /** The stream ended before both sides had said all. */
  onReset(reset: Reset): void;
  /** All that was queued has gone: there is room for more. */
  onDrain(): void;
}

export interface Reset {
  /** RFC 9113 section 7. */
  readonly code: number;
  /** Who ended it: the peer by RST_STREAM, this side because of what the peer sent, or the connection's end. */
  readonly by: "peer" | "us" | "connection";
  /** The peer says that it hasn't begun to work on it (section 8.7). */
  readonly isUnprocessed: boolean;
  readonly message: string;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly payloadBytesMax: number;
  /** A field section that the peer takes, as RFC 9113 section 6.5.2 counts it. */
  readonly peerListBytesMax: number;
  readonly sendWindow: SendWindow;
  readonly isFull: boolean;
  /** What the queues of all its streams keep in memory. */
  readonly queuedBytes: number;
  /** So many more; fewer, where that is negative. */
  queued(bytes: number): void;
  writeFields(streamId: number, fields: OutgoingFields, isEnd: boolean): void;
  /** `isWhole`: all that the stream's owner sends at once; otherwise, the rest had to wait. */
  writeData(streamId: number, first: Uint8Array, second: Uint8Array, isEnd: boolean, isWhole: boolean): void;
  /** Room for one frame's data, which are to be written at once; undefined when all is over. */
  place(bytesMax: number): Place | undefined;
  /** So many bytes of the latest `place` are a frame's data. */
  writePlaced(streamId: number, length: number, isEnd: boolean): void;
  writeReset(streamId: number, code: number): void;
  writeWindowUpdate(streamId: number, bytes: number): void;
  /** It has something to send that its own window allows; an end alone needs no room. */
  enqueue(stream: Http2Stream): void;
  /** Both sides have ended, or it was reset. */
  remove(stream: Http2Stream, wasReset: boolean): void;
}

/** A field section on its way out: a block that was encoded once, and fields (names and values in turn) that follow it. */
export interface OutgoingFields {
  readonly block: FieldBlock;
  readonly list: readonly string[];
}

/** Where data are to be written, before anything else is sent. */
export interface Place {
  readonly bytes: Buffer;
  readonly at: number;
}

interface Chunk {
  readonly bytes: Uint8Array;
  at: number;
}

/** Queued bytes above which a writer should wait for `onDrain`. */
const queuedBytesHigh = 64 * 1024;
/** What all streams of a connection may queue: a peer that asks and opens no window for the answers. */
export const queuedBytesMax = 64 * 1024 * 1024;

/**
 * One stream (RFC 9113 section 5.1): a message in each direction. It is idle before its first fields, "half-closed" once one side has
 * ended, closed when both have or one was reset.
 */
export class Http2Stream {
  readonly id: number;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;
  /** Set by whoever owns it, before anything is heard. */
  events!: StreamEvents;
  isLocalEnded = false;
  isRemoteEnded = false;
  isClosed = false;
  /** The response, or the request, has begun: what comes next are data or trailers. */
  hasFields = false;
  /** Bytes of data that `content-length` promises; -1 without one (section 8.1.1). */
  expectedBytes = -1;
  readonly #host: StreamHost;
  #queue: Chunk[] = [];
  #queuedBytes = 0;
  #isEndQueued = false;
  #wantsNoMore = false;
  #trailers: OutgoingFields | undefined;
  #unconsumed = 0;

  constructor(id: number, host: StreamHost, windows: { send: number; receive: ReceiveWindow }) {
    this.id = id;
    this.#host = host;
    this.sendWindow = new SendWindow(windows.send);
    this.receiveWindow = windows.receive;
  }

  /** A writer that heeds it keeps memory bounded; one that doesn't is held back by nothing. */
  get isWritable(): boolean {
    return this.#queuedBytes < queuedBytesHigh;
  }

  /** What fields may count for together; Infinity where the peer doesn't say. */
  get peerListBytesMax(): number {
    return this.#host.peerListBytesMax;
  }

  /** Something waits for the windows, or for the connection to take it. */
  get isWaiting(): boolean {
    return this.#queue.length > 0;
  }

  /** Bytes that the owner has been given and hasn't given back. */
  get unconsumedBytes(): number {
    return this.#unconsumed;
  }

  fields(fields: OutgoingFields, isEnd = false): void {
    if (this.isClosed || this.isLocalEnded) return;
    this.#host.writeFields(this.id, fields, isEnd);
    if (isEnd) this.#localEnd();
  }

  /** Sends `ahead` and `bytes` as one, as soon as the windows allow it. They are copied, or must not be changed afterwards. */
  data(bytes: Uint8Array, isEnd = false, ahead: Uint8Array = nothing): void {
    if (this.isClosed || this.isLocalEnded || this.#isEndQueued) return;
    const host = this.#host;
    const length = ahead.length + bytes.length;
    const isFree = this.#queue.length === 0 && !host.isFull && length <= host.payloadBytesMax;
    if (isFree && length <= this.sendWindow.size && length <= host.sendWindow.size) {
      this.#spend(length);
      host.writeData(this.id, ahead, bytes, isEnd, true);
      if (isEnd) this.#localEnd();
      return;
    }
    // One message alone may be as large as its owner allows.
    if (host.queuedBytes > 0 && host.queuedBytes + length > queuedBytesMax) return this.#giveUp();
    host.queued(length);
    if (ahead.length > 0) this.#queue.push({ bytes: Buffer.from(ahead), at: 0 });
    if (bytes.length > 0 || this.#queue.length === 0) this.#queue.push({ bytes, at: 0 });
    this.#queuedBytes += length;
    this.#isEndQueued = isEnd;
    this.wake();
  }

  /**
   * Where up to so many bytes of data can be written, straight into what the connection is about to send; then they are `placed`. Undefined
   * where something waits before them.
   */
  place(bytesMax: number): Place | undefined {
    if (this.isClosed || this.isLocalEnded || this.#queue.length > 0 || this.#host.isFull) return undefined;
    return this.#host.place(bytesMax);
  }

  /** Sends what was written there; what the windows don't allow is copied, and waits. */
  placed({ bytes, at }: Place, length: number, isEnd = false): void {
    const host = this.#host;
    if (length > host.payloadBytesMax || length > this.sendWindow.size || length > host.sendWindow.size) {
      return this.data(Buffer.from(bytes.subarray(at, at + length)), isEnd);
    }
    this.#spend(length);
    host.writePlaced(this.id, length, isEnd);
    if (isEnd) this.#localEnd();
  }

  /** Ends this side, behind what is queued. */
  trailers(fields: OutgoingFields): void {
    if (this.isClosed || this.isLocalEnded || this.#isEndQueued) return;
    if (this.#queue.length === 0) return this.fields(fields, true);
    this.#isEndQueued = true;
    this.#trailers = fields;
  }

  /**
   * Nobody wants what the peer still sends: unless it has ended by the time this side does, behind what is queued, it is told so by
   * RST_STREAM (section 8.1).
   */
  wantNoMore(): void {
    this.#wantsNoMore = true;
    this.#closeWhenEnded();
  }

  /** Ends both sides at once; the owner hears nothing more. */
  reset(code: number): void {
    // Its last event is heard just before it closes: there is nothing left to reset.
    if (this.isClosed || (this.isLocalEnded && this.isRemoteEnded)) return;
    this.#host.writeReset(this.id, code);
    this.#close(true);
  }

  /** The owner has dealt with so many of the bytes that it was given: the peer may send as many again. */
  consumed(bytes: number): void {
    this.#unconsumed -= bytes;
    if (this.isRemoteEnded || this.isClosed) return;
    const grant = this.receiveWindow.consume(bytes);
    if (grant > 0) this.#host.writeWindowUpdate(this.id, grant);
  }

  // What follows is the connection's side of it.

  /** Its window has changed, or its queue: it may be able to send now. */
  wake(): void {
    if (this.isClosed || this.#queue.length === 0) return;
    if (this.sendWindow.size > 0 || this.#queuedBytes === 0) this.#host.enqueue(this);
  }

  /** Sends one frame of what is queued, because the connection has room; false when there is no more that could go. */
  sendQueued(): boolean {
    const chunk = this.#queue[0];
    if (chunk === undefined || this.isClosed) return false;
    const { payloadBytesMax, sendWindow } = this.#host;
    const left = chunk.bytes.length - chunk.at;
    // Nothing but the end costs nothing of the windows, which may be negative.
    const length = Math.max(0, Math.min(left, payloadBytesMax, this.sendWindow.size, sendWindow.size));
    if (length === 0 && left > 0) return false;
    const part = chunk.bytes.subarray(chunk.at, chunk.at + length);
    const isWhole = length === chunk.bytes.length;
    chunk.at += length;
    if (length === left) {
      this.#queue.shift();
      // Not before: a chunk is kept whole until its last byte has gone.
      this.#host.queued(-chunk.bytes.length);
    }
    this.#queuedBytes -= length;
    const isLast = this.#queue.length === 0;
    const isEnd = isLast && this.#isEndQueued && this.#trailers === undefined;
    this.#spend(length);
    this.#host.writeData(this.id, part, nothing, isEnd, isWhole);
    if (!isLast) return this.sendWindow.size > 0;
    if (this.#trailers !== undefined) this.#host.writeFields(this.id, this.#trailers, true);
    if (this.#isEndQueued) this.#localEnd();
    else this.events.onDrain();
    return false;
  }

  receive(bytes: Buffer, isEnd: boolean): void {
    this.#unconsumed += bytes.length;
    if (isEnd) this.isRemoteEnded = true;
    this.events.onData(bytes, isEnd);
    if (isEnd) this.#closeWhenEnded();
  }

  receiveFields(fields: Fields, isEnd: boolean): void {
    this.hasFields = true;
    if (isEnd) this.isRemoteEnded = true;
    this.events.onFields(fields, isEnd);
    if (isEnd) this.#closeWhenEnded();
  }

  /** A server's stream, whose first fields its owner was given with it. */
  opened(isEnd: boolean): void {
    this.hasFields = true;
    if (isEnd) this.isRemoteEnded = true;
  }

  /** It ends without having said all: by the peer's RST_STREAM, by this side's, or because the connection goes. */
  abort(reset: Reset): void {
    if (this.isClosed) return;
    // Unless the peer has said that nothing more comes, its frames may be on their way.
    this.#close(reset.by !== "peer");
    this.events.onReset(reset);
  }

  /** The peer takes too little of what it has asked for. */
  #giveUp(): void {
    const code = errorCodes.enhanceYourCalm;
    this.#host.writeReset(this.id, code);
    this.abort({ code, by: "us", isUnprocessed: false, message: "too much waits for the peer to take it" });
  }

  #spend(bytes: number): void {
    this.sendWindow.size -= bytes;
    this.#host.sendWindow.size -= bytes;
  }

  #localEnd(): void {
    this.isLocalEnded = true;
    this.#closeWhenEnded();
  }

  #closeWhenEnded(): void {
    if (this.isClosed || !this.isLocalEnded) return;
    if (this.isRemoteEnded) this.#close(false);
    else if (this.#wantsNoMore) this.reset(errorCodes.noError);
  }

  #close(wasReset: boolean): void {
    this.isClosed = true;
    for (const { bytes } of this.#queue) this.#host.queued(-bytes.length);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#host.remove(this, wasReset);
  }
}

const nothing = new Uint8Array(0);

/** What ends a stream whose connection is gone. */
export const connectionGone = (message: string, isUnprocessed = false): Reset => ({
  code: isUnprocessed ? errorCodes.refusedStream : errorCodes.noError,
  by: "connection",
  isUnprocessed,
  message,
});
