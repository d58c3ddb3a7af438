import { RpcError } from "../../call/status.ts";
import type { Codec, MessageWriter } from "../../codec/codec.ts";
import type { Http2Stream } from "../http2/stream.ts";
import type { Allowance } from "../allowance.ts";
import { onDemand } from "../on-demand.ts";
import type { PeerMemory } from "../peer-memory.ts";
import { Partial } from "../partial.ts";

// A message on the wire (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message): a flag, 1 where it is
// compressed; its length, u32; its bytes. The DATA frames of a stream are cut where they like: `DoRequest { key: "u7" }`, which is the four
// bytes 0a 02 75 37, may come as
//
//     DATA  00 00 00 00          DATA  04 0a 02 75 37  00 00        the beginning of the next message behind it
//           flag, most of              rest of the length, message

/** Flag and length. */
export const prefixBytes = 5;

/** Bytes that all calls of a connection may hold together, of those that the peer has had back in its windows. */
const heldBytesMax = 64 * 1024 * 1024;

/** What a connection's calls hold: messages that are unfinished, or whose calls are. */
export interface Held {
  bytes: number;
  /** Of the peer, where what all of a listener's keep is bounded. */
  readonly memory?: PeerMemory | undefined;
  /** Where the work that the peer makes by compression is bounded. */
  readonly inflation?: Allowance | undefined;
}

/**
 * A message that compression has made more than 16 times smaller is cheap to send and dear to read: a peer may have 64 MiB of what is
 * beyond that read at once, then so much in a second. JSON that was worth compressing is far from it.
 */
const inflatedUnit = 1024;
const inflatedFree = 16;
export const inflationAllowed = { burst: 64 * 1024, perSecond: 64 * 1024 } as const;

/** One call's part of it. What nobody has asked for (`unread`) counts for the listener alone: the call's window bounds it. */
export class HeldShare {
  readonly #all: Held;
  #bytes = 0;
  #unread = 0;

  constructor(all: Held) {
    this.#all = all;
  }

  /** From now on it holds so many. Throws RESOURCE_EXHAUSTED where that is too much; who holds nothing isn't to blame for the others. */
  set(bytes: number, unread = 0): void {
    this.#all.memory?.add(bytes + unread - this.#bytes - this.#unread);
    this.#all.bytes += bytes - this.#bytes;
    this.#bytes = bytes;
    this.#unread = unread;
    if (bytes > 0 && this.#all.bytes > heldBytesMax) {
      throw tooMuch("the connection's unfinished calls hold too much memory");
    }
  }
}

export interface MessageEvents {
  /** `bytes` is gone when this returns: copy what you keep. */
  onMessage(bytes: Buffer): void;
  /** The peer has sent all its messages, and they have been read. */
  onMessagesEnd(): void;
  /** What came is no sequence of messages; nothing comes after it. */
  onMalformed(error: RpcError): void;
}

/**
 * Cuts a stream's data into messages, each when somebody asks for it: what nobody has asked for stays in the stream's window, and the
 * peer waits when that is used up. A message that is asked for may be larger than the window.
 */
export class MessageReader {
  /** `grpc-encoding` of the peer. */
  encoding = "identity";
  readonly #stream: Http2Stream;
  readonly #events: MessageEvents;
  readonly #messageBytesMax: number;
  readonly #held: HeldShare;
  readonly #inflation: Allowance | undefined;
  readonly #partial = new Partial();
  /** Bytes of `#partial` that the peer has been given back already. */
  #credited = 0;
  /** Bytes of messages that the owner has been given and keeps. */
  #kept = 0;
  #wanted = 0;
  #isEnd = false;
  #isOver = false;
  #isDelivering = false;

  constructor(
    stream: Http2Stream,
    events: MessageEvents,
    options: { readonly messageBytesMax: number; readonly held: Held },
  ) {
    this.#stream = stream;
    this.#events = events;
    this.#messageBytesMax = options.messageBytesMax;
    this.#held = new HeldShare(options.held);
    this.#inflation = options.held.inflation;
  }

  /** Asks for one more message, or the end. */
  read(): void {
    this.#wanted++;
    if (!this.#isDelivering && (this.#partial.length > 0 || this.#isEnd)) this.#deliver(nothing);
  }

  receive(bytes: Buffer, isEnd: boolean): void {
    if (isEnd) this.#isEnd = true;
    this.#deliver(bytes);
  }

  /** The owner keeps so many bytes of what it was given until the peer ends its side: they count as what is unfinished does. */
  keep(bytes: number): void {
    if (!this.#isEnd) this.#kept += bytes;
  }

  /** Nobody reads any more. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#partial.clear();
    this.#credited = 0;
    this.#held.set(0);
  }

  #deliver(chunk: Buffer): void {
    if (this.#isOver) return this.#stream.consumed(chunk.length);
    const bytes = this.#partial.after(chunk);
    let at = 0;
    this.#isDelivering = true;
    try {
      while (this.#wanted > 0) {
        const end = this.#end(bytes, at);
        if (end === undefined) break;
        const message = this.#message(bytes, at, end);
        this.#consume(end - at);
        at = end;
        this.#wanted--;
        this.#events.onMessage(message);
        if (this.#isOver) return;
      }
    } catch (error) {
      this.stop();
      return this.#events.onMalformed(error as RpcError);
    } finally {
      this.#isDelivering = false;
    }
    this.#partial.keep(bytes, at);
    if (this.#wanted > 0) {
      // Somebody waits for the rest of it.
      this.#stream.consumed(this.#partial.length - this.#credited);
      this.#credited = this.#partial.length;
    }
    try {
      this.#held.set(this.#credited + this.#kept, this.#partial.length - this.#credited);
    } catch (error) {
      this.stop();
      return this.#events.onMalformed(error as RpcError);
    }
    if (!this.#isEnd || this.#wanted === 0) return;
    const isCut = this.#partial.length > 0;
    this.stop();
    if (isCut) this.#events.onMalformed(malformed("a message is cut off"));
    else this.#events.onMessagesEnd();
  }

  /** Where the message that begins there ends; undefined when that hasn't come yet. */
  #end(bytes: Buffer, at: number): number | undefined {
    if (bytes.length - at < prefixBytes) return undefined;
    const length = bytes.readUInt32BE(at + 1);
    if (length > this.#messageBytesMax) {
      throw tooMuch(`a message of ${length} bytes; ${this.#messageBytesMax} are allowed`);
    }
    const end = at + prefixBytes + length;
    return end > bytes.length ? undefined : end;
  }

  #message(bytes: Buffer, at: number, end: number): Buffer {
    const flag = bytes[at]!;
    const body = bytes.subarray(at + prefixBytes, end);
    if (flag === 0) return body;
    if (flag !== 1) throw malformed(`a message with the flag ${flag}`);
    if (this.encoding !== "gzip") throw malformed(`a compressed message, and the encoding is ${this.encoding}`);
    if (this.#inflation?.take() === false) throw tooMuch("too much has come behind compression");
    let length = this.#messageBytesMax;
    try {
      const message = onDemand.zlib().gunzipSync(body, { maxOutputLength: Math.max(1, this.#messageBytesMax) });
      length = message.length;
      return message;
    } catch (cause) {
      const isTooLarge = (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
      if (isTooLarge) throw tooMuch(`a message of more than ${this.#messageBytesMax} bytes behind its compression`);
      throw malformed("a compressed message can't be read");
    } finally {
      this.#inflation?.spend(Math.max(0, length - inflatedFree * body.length) / inflatedUnit);
    }
  }

  #consume(bytes: number): void {
    const credited = Math.min(bytes, this.#credited);
    this.#credited -= credited;
    if (bytes > credited) this.#stream.consumed(bytes - credited);
  }
}

const nothing = Buffer.alloc(0);
/** Copied by whoever sends it, before the next message is made. */
const prefix = Buffer.alloc(prefixBytes);

/** A message to be sent: its bytes, or what writes them. */
export type OutgoingMessage = Uint8Array | MessageWriter;

/** As it is best sent at once; who can't, needs its `bytesOf`. */
export const outgoing = <T>(codec: Codec<T>, message: T): OutgoingMessage =>
  codec.writer?.(message) ?? codec.encode(message);

export function bytesOf(message: OutgoingMessage): Uint8Array {
  if (message instanceof Uint8Array) return message;
  const bytes = new Uint8Array(message.bytesMax);
  // What it could have taken besides isn't kept while it waits.
  return bytes.slice(0, message.write(bytes, 0));
}

/** The message, known to take no more. Throws RESOURCE_EXHAUSTED for one that does. */
export function within(message: OutgoingMessage, bytesMax: number): OutgoingMessage {
  if (!(message instanceof Uint8Array) && message.bytesMax <= bytesMax) return message;
  const bytes = bytesOf(message);
  if (bytes.length <= bytesMax) return bytes;
  throw new RpcError(`a message of ${bytes.length} bytes; ${bytesMax} are allowed`, {
    code: "RESOURCE_EXHAUSTED",
    reach: "nowhere",
  });
}

/** Sends a message, compressed if that is wanted; `isEnd`: it is the last one. */
export function sendMessage(
  stream: Http2Stream,
  message: OutgoingMessage,
  { isGzip = false, isEnd = false }: { readonly isGzip?: boolean; readonly isEnd?: boolean } = {},
): void {
  if (!isGzip && !(message instanceof Uint8Array) && writeStraight(stream, message, isEnd)) return;
  const body = isGzip ? onDemand.zlib().gzipSync(bytesOf(message)) : bytesOf(message);
  prefix[0] = isGzip ? 1 : 0;
  prefix.writeUInt32BE(body.length, 1);
  stream.data(body, isEnd, prefix);
}

/** Into what the connection is about to send, behind the frame's head and the prefix; false where it would have to wait. */
function writeStraight(stream: Http2Stream, message: MessageWriter, isEnd: boolean): boolean {
  const place = stream.place(prefixBytes + message.bytesMax);
  if (place === undefined) return false;
  const { bytes, at } = place;
  const end = message.write(bytes, at + prefixBytes);
  bytes[at] = 0;
  bytes.writeUInt32BE(end - at - prefixBytes, at + 1);
  stream.placed(place, end - at, isEnd);
  return true;
}

const malformed = (message: string): RpcError => new RpcError(message, { code: "INTERNAL" });
const tooMuch = (message: string): RpcError => new RpcError(message, { code: "RESOURCE_EXHAUSTED" });
