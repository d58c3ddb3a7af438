import type { Duplex } from "node:stream";

import type { Clock } from "../../ports/clock.ts";
import { Departure, type Departing } from "./departure.ts";
import { ConnectionError, errorCodes, StreamError } from "./errors.ts";
import { trimValues, troubleOf, valueOf } from "./fields.ts";
import { ReceiveWindow, SendWindow } from "./flow-control.ts";
import { FieldBlockReader, type FieldBlockRead } from "./field-block.ts";
import { FrameWriter } from "./frame-writer.ts";
import { clientPreface, frameFlags, FrameReader, frameTypes, int31Max, unpadded } from "./frames.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import type { Fields } from "./hpack/field-list.ts";
import { listBytes } from "./hpack/encoder.ts";
import { hearBytes } from "../input.ts";
import { Output } from "../output.ts";
import type { PeerMemory } from "../peer-memory.ts";
import { LateStreams } from "./late-streams.ts";
import { Patience, type Keepalive } from "./patience.ts";
import { readSettings, settingIds, settingsDefault, type PeerSettings } from "./settings.ts";
import {
  connectionGone,
  Http2Stream,
  type OutgoingFields,
  type Place,
  type StreamEvents,
  type StreamHost,
} from "./stream.ts";
import { Toll } from "./toll.ts";
import { Turns } from "./turns.ts";

export interface Http2Options {
  readonly clock: Clock;
  /** Streams that the peer may have open at a time; one more is refused. Default 1000. */
  readonly concurrentStreamsMax?: number | undefined;
  /** Bytes of one stream that the peer may send ahead of their reader. Default 256 KiB. */
  readonly streamWindowBytes?: number | undefined;
  /** Default 20000 and 20000. */
  readonly keepalive?: Keepalive | undefined;
  /** What this peer makes its listener keep: what is queued for it counts. Default: nobody counts. */
  readonly memory?: PeerMemory | undefined;
}

export interface SessionEvents {
  /** The peer's SETTINGS have come: it is there, and speaks HTTP/2. */
  onReady(): void;
  /** The peer takes no new streams; those above `lastStreamId` it hasn't begun, and they have ended. */
  onGoaway(goaway: Goaway): void;
  /** A stream has closed, or the peer's settings have changed: there may be room for another. */
  onRoom(): void;
  /** A server's: a request has begun. The owner sets the stream's `events` before it returns. */
  onStream(stream: Http2Stream, fields: Fields, isEnd: boolean): void;
  /** It is over, for this reason; nothing comes after it. */
  onClosed(error: Error): void;
}

/** What a GOAWAY says (section 6.8). */
export interface Goaway {
  readonly lastStreamId: number;
  readonly code: number;
  /** The beginning of its text, printable. */
  readonly debug: string;
  /** All of it, for people. */
  readonly message: string;
}

/** What everybody together may send ahead on one connection; given back as it arrives, since each stream has a window of its own. */
const connectionWindowBytes = 1024 * 1024;
const windowBytesDefault = 65_535;
/** A field section's size, as RFC 9113 section 6.5.2 counts it. */
export const listBytesMax = 64 * 1024;
/** Of a peer's GOAWAY's text. */
const debugCharactersMax = 200;
/** Frames, and replies to PING and SETTINGS, that a peer may leave unread. */
const unsentBytesMax = 16 * 1024 * 1024;
/**
 * A client's frame that has begun, its field section, and its first SETTINGS have so much time. A client's owner limits how long it waits
 * for a server's.
 */
const partWithinUs = 10_000_000;
/** After an error, for the peer to read why. */
const lingerUs = 250_000;
/** After the last word in good order, for the peer to take what is on its way and to end its side. */
const endWithinUs = 10_000_000;

/**
 * One end of an HTTP/2 connection (RFC 9113): frames in, frames out, and the rules that hold for all of its streams. A client begins with
 * the preface (section 3.4); both sides say their SETTINGS first.
 */
export class Http2Session implements StreamHost, Departing {
  readonly sendWindow = new SendWindow(windowBytesDefault);
  readonly isClient: boolean;
  #queuedBytes = 0;
  /** Of `#memory`, what the socket hasn't got rid of. */
  #unsentBytes = 0;
  readonly #memory: PeerMemory | undefined;
  readonly #socket: Duplex;
  readonly #events: SessionEvents;
  readonly #clock: Clock;
  readonly #concurrentStreamsMax: number;
  readonly #streamWindowBytes: number;
  readonly #output: Output;
  readonly #writer: FrameWriter;
  readonly #reader: FrameReader;
  readonly #blocks = new FieldBlockReader();
  readonly #decoder = new HpackDecoder({ listBytesMax });
  readonly #peer: PeerSettings = settingsDefault();
  readonly #receiveWindow = new ReceiveWindow(connectionWindowBytes);
  readonly #toll: Toll;
  readonly #streams = new Map<number, Http2Stream>();
  /** A server's: that it has reset. */
  readonly #late = new LateStreams();
  readonly #turns = new Turns(this.sendWindow);
  readonly #patience: Patience;
  #prefaceLeft: number;
  #isReady = false;
  #lastPeerId = 0;
  #nextId = 1;
  #peerLeft = false;
  /** Why, in its words. */
  #said = "";
  readonly #departure: Departure;
  #isOver = false;

  constructor(socket: Duplex, isClient: boolean, options: Http2Options, events: SessionEvents) {
    const { clock, concurrentStreamsMax = 1000, streamWindowBytes = 256 * 1024 } = options;
    this.isClient = isClient;
    this.#socket = socket;
    this.#events = events;
    this.#clock = clock;
    this.#memory = options.memory;
    this.#concurrentStreamsMax = concurrentStreamsMax;
    this.#streamWindowBytes = streamWindowBytes;
    this.#toll = new Toll(clock);
    this.#prefaceLeft = isClient ? 0 : clientPreface.length;
    this.#output = new Output(socket, () => {
      this.#countUnsent();
      this.#pump();
    });
    this.#writer = new FrameWriter(this.#output, this.#peer);
    this.#departure = new Departure({ clock, writer: this.#writer }, this);
    this.#reader = new FrameReader((type, flags, id, payload) => this.#frame(type, flags, id, payload));
    hearBytes(socket, (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#over(error));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#over(this.#closedByPeer));
    if (isClient) this.#output.push(clientPreface);
    this.#writer.settings([
      ...(isClient ? [[settingIds.enablePush, 0] as const] : []),
      ...(isClient ? [] : [[settingIds.maxConcurrentStreams, concurrentStreamsMax] as const]),
      [settingIds.initialWindowSize, streamWindowBytes],
      [settingIds.maxHeaderListSize, listBytesMax],
    ]);
    this.writeWindowUpdate(0, connectionWindowBytes - windowBytesDefault);
    const { keepalive = { idleMs: 20_000, timeoutMs: 20_000 } } = options;
    this.#patience = new Patience(
      { clock, keepalive, partWithinUs: isClient ? Infinity : partWithinUs },
      {
        isWaiting: () => this.#isReady && this.#streams.size > 0,
        onSilence: () => this.#writer.ping(keepalivePing),
        onSlowPart: () => this.#fail(new ConnectionError("it took too long", errorCodes.enhanceYourCalm)),
        onGivenUp: (silentMs) => this.destroy(new Error(`the peer has been silent for ${silentMs} ms`)),
      },
    );
  }

  /** The peer's SETTINGS have come, and nothing has ended since. */
  get isReady(): boolean {
    return this.#isReady && !this.#isOver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** The peer takes one more stream now. */
  get hasRoom(): boolean {
    return this.isReady && !this.isLeaving && this.#streams.size < this.#peer.maxConcurrentStreams;
  }

  /** One of both sides goes; no new streams. */
  get isLeaving(): boolean {
    return this.#departure.isLeaving || this.#peerLeft || this.#nextId > int31Max;
  }

  /** The longest payload of a frame that the peer takes. */
  get payloadBytesMax(): number {
    return this.#peer.maxFrameSize;
  }

  get peerListBytesMax(): number {
    return this.#peer.maxHeaderListSize;
  }

  /** The peer doesn't read as fast as this side writes. */
  get isFull(): boolean {
    return this.#output.isFull;
  }

  /** A client's: begins a request; only while `hasRoom`. Undefined when the peer doesn't take so many fields. */
  open(fields: OutgoingFields, events: StreamEvents, isEnd = false): Http2Stream | undefined {
    if (!this.#takes(fields)) return undefined;
    const stream = this.#stream(this.#nextId);
    this.#nextId += 2;
    stream.events = events;
    stream.fields(fields, isEnd);
    return stream;
  }

  /** Tells the peer to go elsewhere with new requests, takes those that were on their way, and ends the connection after the last one. */
  leave(): void {
    if (!this.#isOver) this.#departure.leave();
  }

  /** Ends the connection, for the peer asks for too much (ENHANCE_YOUR_CALM). */
  expel(why: string): void {
    this.#fail(new ConnectionError(why, errorCodes.enhanceYourCalm));
  }

  /** Ends everything now, without a word. */
  destroy(error: Error): void {
    this.#over(error);
    this.#socket.destroy();
  }

  // What streams need (`StreamHost`).

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  queued(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#memory?.add(bytes);
  }

  writeFields(streamId: number, fields: OutgoingFields, isEnd: boolean): void {
    if (this.#isOver) return;
    this.#writer.fields(streamId, fields, isEnd);
    // They don't wait until there is room, as data do.
    if (this.#output.isFull) this.#countUnsent();
  }

  writeData(streamId: number, first: Uint8Array, second: Uint8Array, isEnd: boolean, isWhole: boolean): void {
    if (this.#isOver) return;
    this.#writer.data(streamId, first, second, isEnd);
    this.#toll.sent(first.length + second.length, isWhole);
  }

  place(bytesMax: number): Place | undefined {
    return this.#isOver ? undefined : this.#writer.place(bytesMax);
  }

  writePlaced(streamId: number, length: number, isEnd: boolean): void {
    this.#writer.placed(streamId, length, isEnd);
    this.#toll.sent(length, true);
  }

  writeReset(streamId: number, code: number): void {
    if (!this.#isOver) this.#writer.reset(streamId, code);
  }

  writeWindowUpdate(streamId: number, bytes: number): void {
    if (!this.#isOver) this.#writer.windowUpdate(streamId, bytes);
  }

  enqueue(stream: Http2Stream): void {
    this.#turns.add(stream);
    this.#pump();
  }

  remove(stream: Http2Stream, wasReset: boolean): void {
    this.#streams.delete(stream.id);
    this.#turns.remove(stream);
    if (wasReset && !this.isClient) this.#late.add(stream.id, stream.receiveWindow.left);
    if (this.#isOver) return;
    if (this.isLeaving) this.#departure.endWhenIdle();
    this.#events.onRoom();
  }

  // Sending.

  #takes({ block, list }: OutgoingFields): boolean {
    const { maxHeaderListSize } = this.#peer;
    return maxHeaderListSize === Infinity || block.listBytes + listBytes(list) <= maxHeaderListSize;
  }

  #pump(): void {
    this.#turns.take(() => !this.#output.isFull && !this.#isOver);
  }

  // Receiving.

  #receive(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#patience.heard();
    try {
      const rest = this.#prefaceLeft > 0 ? this.#preface(chunk) : chunk;
      if (this.isClient && !this.#isReady && !this.#reader.isPartial && rest[0] !== 0) throw stranger(rest);
      if (rest.length > 0) this.#reader.push(rest);
    } catch (error) {
      return this.#fail(error);
    }
    const isPartial = !this.#isReady || this.#reader.isPartial || this.#blocks.streamId !== undefined;
    if (isPartial) this.#patience.partGoesOn();
    else this.#patience.partEnds();
    this.#countUnsent();
    if (this.#unsentBytes > unsentBytesMax) {
      this.#fail(new ConnectionError("too much is left unread", errorCodes.enhanceYourCalm));
    }
  }

  /** Where the socket is full, all that waits for it; else what this turn has made goes at its end, and counts for nothing. */
  #countUnsent(): void {
    const bytes = this.#output.isFull ? this.#output.unsentBytes : 0;
    this.#memory?.add(bytes - this.#unsentBytes);
    this.#unsentBytes = bytes;
  }

  /** Section 3.4. */
  #preface(chunk: Buffer): Buffer {
    const length = Math.min(this.#prefaceLeft, chunk.length);
    const from = clientPreface.length - this.#prefaceLeft;
    if (clientPreface.compare(chunk, 0, length, from, from + length) !== 0) {
      throw new ConnectionError("the client doesn't speak HTTP/2");
    }
    this.#prefaceLeft -= length;
    return chunk.subarray(length);
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#isOver) return;
    const { streamId } = this.#blocks;
    // However slowly its bytes come, this one is complete; a field section has its own time.
    if (streamId === undefined) this.#patience.partEnds();
    else if (type !== frameTypes.continuation || id !== streamId) {
      throw new ConnectionError("a field section is interrupted");
    }
    if (!this.#isReady && (type !== frameTypes.settings || flags & frameFlags.ack)) {
      throw new ConnectionError("the first frame isn't SETTINGS");
    }
    try {
      this.#dispatch(type, flags, id, payload);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.#failStream(id, error);
    }
  }

  #dispatch(type: number, flags: number, id: number, payload: Buffer): void {
    switch (type) {
      case frameTypes.data:
        return this.#data(flags, id, payload);
      case frameTypes.headers:
        return this.#section(this.#blocks.headers(flags, id, payload));
      case frameTypes.continuation:
        return this.#section(this.#blocks.continuation(flags, payload));
      case frameTypes.rstStream:
        return this.#rstStream(id, payload);
      case frameTypes.windowUpdate:
        return this.#windowUpdate(id, payload);
      case frameTypes.settings:
        return this.#settings(flags, id, payload);
      case frameTypes.ping:
        return this.#ping(flags, id, payload);
      case frameTypes.goaway:
        return this.#receiveGoaway(id, payload);
      case frameTypes.pushPromise:
        throw new ConnectionError("nobody may push");
      case frameTypes.priority:
        if (id === 0) throw new ConnectionError("a priority of no stream");
        if (payload.length !== 5) this.#badPriority(id);
        return this.#toll.idle();
      default:
        // Section 4.1: later versions may know it.
        return this.#toll.idle();
    }
  }

  /** Section 6.3. It may come on streams that nobody has begun, which can't be reset (section 6.4). */
  #badPriority(id: number): never {
    const [message, code] = ["a PRIORITY of another size", errorCodes.frameSizeError] as const;
    throw this.#isIdle(id) ? new ConnectionError(message, code) : new StreamError(message, code);
  }

  /** Section 6.1. */
  #data(flags: number, id: number, payload: Buffer): void {
    if (id === 0) throw new ConnectionError("DATA of no stream");
    const isEnd = (flags & frameFlags.endStream) !== 0;
    if (!this.#receiveWindow.take(payload.length)) {
      throw new ConnectionError("more than the connection's window", errorCodes.flowControlError);
    }
    const grant = this.#receiveWindow.consume(payload.length);
    if (grant > 0) this.writeWindowUpdate(0, grant);
    const bytes = flags & frameFlags.padded ? unpadded(payload) : payload;
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#ignoreLate(id, bytes.length);
    this.#toll.received(bytes.length, isEnd);
    if (stream.isRemoteEnded) throw new StreamError("DATA after the end", errorCodes.streamClosed);
    if (!stream.hasFields) throw new StreamError("DATA before the fields");
    if (!stream.receiveWindow.take(payload.length)) {
      throw new StreamError("more than the stream's window", errorCodes.flowControlError);
    }
    if (stream.expectedBytes >= 0) {
      stream.expectedBytes -= bytes.length;
      if (stream.expectedBytes < 0 || (isEnd && stream.expectedBytes > 0)) throw new StreamError("content-length lied");
    }
    const padding = payload.length - bytes.length;
    stream.receive(bytes, isEnd);
    if (padding > 0) {
      const more = stream.isRemoteEnded || stream.isClosed ? 0 : stream.receiveWindow.consume(padding);
      if (more > 0) this.writeWindowUpdate(id, more);
    }
  }

  /**
   * Section 8.1: a request, a response or trailers, once their block is whole. It is decoded in any case: the table is the connection's.
   */
  #section(read: FieldBlockRead | undefined): void {
    if (read === undefined) return this.#patience.partGoesOn();
    this.#patience.partEnds();
    const { streamId: id, isEnd, block } = read;
    const decoded = this.#decoder.decode(block);
    if (!this.isClient && id > this.#lastPeerId) return this.#request(id, isEnd, decoded);
    const fields = this.isClient ? trimValues(decoded) : decoded;
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#ignoreLate(id);
    if (stream.isRemoteEnded) throw new StreamError("HEADERS after the end", errorCodes.streamClosed);
    if (fields.isTooLarge) throw new StreamError("more fields than this side takes", errorCodes.enhanceYourCalm);
    const isTrailers = stream.hasFields;
    const trouble = troubleOf(fields, isTrailers ? "trailers" : "response");
    if (trouble !== undefined) throw new StreamError(trouble);
    if (isTrailers && !isEnd) throw new StreamError("trailers that aren't the end");
    if (!isTrailers) {
      const status = valueOf(fields.list, ":status")!;
      // RFC 9110 section 15: three digits of no known class are a response all the same, and no success.
      if (!/^\d{3}$/.test(status)) throw new StreamError(`status ${status.slice(0, 20)}`);
      // Section 8.1: others may come before the response.
      if (status.startsWith("1")) {
        if (isEnd || status === "101") throw new StreamError(`status ${status} as the end`);
        return this.#toll.idle();
      }
      stream.expectedBytes = expectedOf(fields, isEnd);
    } else if (stream.expectedBytes > 0) throw new StreamError("content-length lied");
    this.#toll.section();
    stream.receiveFields(fields, isEnd);
  }

  #request(id: number, isEnd: boolean, fields: Fields): void {
    if (id % 2 === 0) throw new ConnectionError("a client's streams are odd");
    this.#lastPeerId = id;
    // Its client has been told that it isn't begun here, and may have repeated it elsewhere.
    if (id > this.#departure.lastServedId) throw new StreamError("this side is going away", errorCodes.refusedStream);
    if (this.#streams.size >= this.#concurrentStreamsMax) {
      throw new StreamError("too many streams at a time", errorCodes.refusedStream);
    }
    const trouble = fields.isTooLarge ? undefined : troubleOf(fields, "request");
    if (trouble !== undefined) throw new StreamError(trouble);
    const expectedBytes = expectedOf(fields, isEnd);
    const stream = this.#stream(id);
    stream.expectedBytes = expectedBytes;
    stream.opened(isEnd);
    this.#toll.section();
    this.#events.onStream(stream, fields, isEnd);
  }

  /** Section 6.4. */
  #rstStream(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError("an RST_STREAM of another size", errorCodes.frameSizeError);
    if (id === 0) throw new ConnectionError("RST_STREAM of no stream");
    this.#mustNotBeIdle(id);
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#countLate();
    this.#countReset();
    const code = payload.readUInt32BE();
    const isUnprocessed = code === errorCodes.refusedStream;
    stream.abort({ code, by: "peer", isUnprocessed, message: `the peer reset the stream (${code})` });
  }

  /** Section 6.9. */
  #windowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError("a WINDOW_UPDATE of another size", errorCodes.frameSizeError);
    const by = payload.readUInt32BE() & int31Max;
    if (id === 0) {
      this.#toll.idle();
      if (by === 0) throw new ConnectionError("a window that grows by nothing");
      if (!this.sendWindow.grow(by)) throw new ConnectionError("a window too large", errorCodes.flowControlError);
      return this.#turns.unblock();
    }
    this.#mustNotBeIdle(id);
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#countLate();
    this.#toll.idle();
    if (by === 0) throw new StreamError("a window that grows by nothing");
    if (!stream.sendWindow.grow(by)) throw new StreamError("a window too large", errorCodes.flowControlError);
    stream.wake();
  }

  /** Section 6.5. */
  #settings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw new ConnectionError("SETTINGS of a stream");
    this.#toll.idle();
    if (flags & frameFlags.ack) {
      if (payload.length > 0) throw new ConnectionError("an acknowledgement that says more", errorCodes.frameSizeError);
      return;
    }
    const before = this.#peer.initialWindowSize;
    readSettings(payload, this.#peer, this.isClient);
    const by = this.#peer.initialWindowSize - before;
    if (by !== 0) this.#growEach(by);
    if (!this.#isOver) this.#writer.settingsAck();
    // Section 6.5.3: the acknowledgement comes before what the new values allow.
    if (by > 0) for (const stream of [...this.#streams.values()]) stream.wake();
    if (this.#isReady) return this.#events.onRoom();
    this.#isReady = true;
    this.#events.onReady();
  }

  /**
   * Section 6.9.2. Each stream that has something to send is work, and a peer that opens their windows by a byte at a time has it done
   * again and again.
   */
  #growEach(by: number): void {
    for (const stream of this.#streams.values()) {
      if (!stream.sendWindow.grow(by)) throw new ConnectionError("a window too large", errorCodes.flowControlError);
      if (stream.isWaiting) this.#toll.idle();
    }
  }

  /** Section 6.7. */
  #ping(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw new ConnectionError("a PING of a stream");
    if (payload.length !== 8) throw new ConnectionError("a PING of another size", errorCodes.frameSizeError);
    this.#toll.idle();
    if (!(flags & frameFlags.ack)) this.#writer.ping(payload, true);
    else this.#departure.answered(payload);
  }

  /** Section 6.8. */
  #receiveGoaway(id: number, payload: Buffer): void {
    if (id !== 0) throw new ConnectionError("GOAWAY of a stream");
    if (payload.length < 8) throw new ConnectionError("a GOAWAY of another size", errorCodes.frameSizeError);
    this.#toll.idle();
    this.#peerLeft = true;
    const lastStreamId = payload.readUInt32BE() & int31Max;
    const code = payload.readUInt32BE(4);
    const debug = payload.toString("latin1", 8, 8 + debugCharactersMax).replace(/[^\x20-\x7e]/g, "?");
    if (code !== errorCodes.noError || debug !== "") this.#said = ` (${code}${debug === "" ? "" : `: ${debug}`})`;
    const message = `the ${this.isClient ? "server" : "client"} is going away${this.#said}`;
    if (this.isClient) {
      for (const stream of [...this.#streams.values()]) {
        if (stream.id > lastStreamId) stream.abort(connectionGone(message, true));
      }
    }
    this.#events.onGoaway({ lastStreamId, code, debug, message });
    if (!this.#isOver) this.#departure.endWhenIdle();
  }

  /**
   * Section 5.1: a frame of a stream that isn't open is late, and ignored, where it may have been sent before the peer knew; so many bytes
   * of data are in it. A client takes all of them for late, for it would have to remember every call that it gave up.
   */
  #ignoreLate(id: number, bytes = 0): void {
    this.#mustNotBeIdle(id);
    if (this.isClient) return;
    if (!this.#late.has(id)) throw new ConnectionError("a frame of a stream that is closed", errorCodes.streamClosed);
    if (bytes === 0 || !this.#late.take(id, bytes)) this.#toll.idle();
  }

  /** A frame of a stream that is closed, which says nothing any more. */
  #countLate(): void {
    if (!this.isClient) this.#toll.idle();
  }

  /** Section 5.1: a stream that nobody has begun. */
  #isIdle(id: number): boolean {
    return id % 2 === 0 || (this.isClient ? id >= this.#nextId : id > this.#lastPeerId);
  }

  #mustNotBeIdle(id: number): void {
    if (this.#isIdle(id)) throw new ConnectionError("a frame of a stream that was never begun");
  }

  #stream(id: number): Http2Stream {
    const receive = new ReceiveWindow(this.#streamWindowBytes);
    const stream = new Http2Stream(id, this, { send: this.#peer.initialWindowSize, receive });
    this.#streams.set(id, stream);
    return stream;
  }

  #countReset(): void {
    if (!this.isClient) this.#toll.reset();
  }

  #failStream(id: number, error: StreamError): void {
    this.#countReset();
    this.writeReset(id, error.code);
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (!this.isClient) this.#late.add(id, this.#streamWindowBytes);
    } else stream.abort({ code: error.code, by: "us", isUnprocessed: false, message: error.message });
  }

  // The end.

  get lastPeerId(): number {
    return this.#lastPeerId;
  }

  /** What `Departure` ends with: all streams have ended. */
  endInOrder(): void {
    this.#output.flush();
    this.#endSocket(endWithinUs);
  }

  get #closedByPeer(): Error {
    return new Error(`the peer closed the connection${this.#said}`);
  }

  /** The peer has ended its side, and the socket ends with it: nothing can be asked or answered any more. */
  #end(): void {
    if (this.#isOver) return;
    this.#over(this.#closedByPeer);
    this.#endSocket(endWithinUs);
  }

  /** Section 5.4.1: says what is wrong, and goes. */
  #fail(error: unknown): void {
    if (this.#isOver) return;
    const known = error instanceof ConnectionError ? error : new ConnectionError("it broke", errorCodes.internalError);
    this.#writer.goaway(Math.min(this.#lastPeerId, this.#departure.lastServedId), known.code, known.message);
    this.#output.flush();
    this.#over(error instanceof Error ? error : known);
    // Bytes that nobody has read would make the socket's end a reset, and the peer would never learn why.
    this.#endSocket(lingerUs);
  }

  /** Ends this side of the socket; when its peer doesn't do so as well, it is broken off. */
  #endSocket(withinUs: number): void {
    this.#socket.end();
    const disarm = this.#clock.after(withinUs, () => this.#socket.destroy());
    this.#socket.once("close", disarm);
  }

  #over(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#patience.stop();
    this.#departure.stop();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.abort(connectionGone(error.message));
    this.#events.onClosed(error);
  }
}

const keepalivePing = Buffer.from("flyball?");

const tlsRecords = [0x15, 0x16];

/** Section 3.4: a server begins with SETTINGS, whose length is never so large that its first byte says something. */
function stranger(bytes: Buffer): ConnectionError {
  if (tlsRecords.includes(bytes[0]!)) return new ConnectionError("the server speaks TLS");
  const words = bytes.toString("latin1", 0, 60).replace(/[^ -~].*/s, "");
  return new ConnectionError(`the server doesn't speak HTTP/2${words === "" ? "" : `: "${words}"`}`);
}

/** Section 8.1.1: bytes of data that are to come; -1 where nothing says how many. */
function expectedOf({ list }: Fields, isEnd: boolean): number {
  const length = valueOf(list, "content-length");
  if (length === undefined) return -1;
  if (!/^\d{1,15}$/.test(length)) throw new StreamError("a content-length that is none");
  // RFC 9110 section 8.6: who repeats it has to say the same.
  const isOther = (name: string, at: number): boolean =>
    at % 2 === 0 && name === "content-length" && list[at + 1] !== length;
  if (list.some(isOther)) throw new StreamError("content-lengths that contradict one another");
  if (isEnd && length !== "0") throw new StreamError("content-length lied");
  return Number(length);
}
