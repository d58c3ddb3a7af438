import { metadata as noted, noMetadata, type Metadata } from "../../call/metadata.ts";
import { RpcError, rpcCodeOf, rpcCodes } from "../../call/status.ts";
import type { Output } from "../output.ts";
import { Partial } from "../partial.ts";

/**
 * Flyball's framed TCP, version 1: docs/framed-tcp.md is its specification. A frame is
 *
 *     length u32 │ type u8 │ stream u32 │ payload        (big-endian; `length` counts everything after itself)
 */
export const protocolVersion = 1;
/** "FLYB" */
const magic = 0x464c5942;
const headBytes = 5;
const lengthBytes = 4;

export const frameTypes = {
  hello: 1,
  request: 2,
  accepted: 3,
  message: 4,
  end: 5,
  cancel: 6,
  credit: 7,
  ping: 8,
  pong: 9,
  goaway: 10,
} as const;

/** What a message may add to its frame: path, codec, metadata, status. */
export const extraBytesMax = 256 * 1024;
/** Metadata of one call in one direction, keys and values together. */
export const metadataBytesMax = 64 * 1024;
/** Longer texts of a status are cut. */
const statusCharactersMax = 4096;

export interface Frame {
  readonly type: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export interface Hello {
  readonly version: number;
  /** The longest frame (by its length field) that the sender takes. */
  readonly frameBytesMax: number;
}

export interface Request {
  readonly path: string;
  readonly codec: string;
  /** What is left of the deadline; undefined without one. */
  readonly timeoutUs: number | undefined;
  readonly metadata: Metadata;
  readonly message: Uint8Array;
}

/** How a call ended: with a status that isn't OK, or well; a unary one then with its message. */
export interface End {
  readonly error: RpcError | undefined;
  readonly trailers: Metadata;
  readonly message: Uint8Array | undefined;
}

/** Cuts a connection's bytes into frames, however they were cut on their way. */
export class FrameSplitter {
  readonly #frameBytesMax: number;
  readonly #partial = new Partial();

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** What has come of a frame that isn't complete. */
  get partialBytes(): number {
    return this.#partial.length;
  }

  /** Throws INVALID_ARGUMENT for a length that no frame of this connection has: the rest of the bytes has no meaning then. */
  *push(chunk: Buffer): Generator<Frame> {
    const bytes = this.#partial.after(chunk);
    let at = 0;
    while (bytes.length - at >= lengthBytes) {
      const length = bytes.readUInt32BE(at);
      if (length < headBytes || length > this.#frameBytesMax) {
        throw malformed(`a frame of ${length} bytes; ${headBytes} to ${this.#frameBytesMax} are allowed`);
      }
      if (bytes.length - at < lengthBytes + length) break;
      const payload = bytes.subarray(at + lengthBytes + headBytes, at + lengthBytes + length);
      yield { type: bytes.readUInt8(at + lengthBytes), stream: bytes.readUInt32BE(at + lengthBytes + 1), payload };
      at += lengthBytes + length;
    }
    this.#partial.keep(bytes, at);
  }
}

const nothing = Buffer.alloc(0);

export function writeFrame(output: Output, type: number, stream: number, payload: Uint8Array = nothing): void {
  output.room(lengthBytes + headBytes + payload.length);
  const { bytes, at } = output;
  bytes.writeUInt32BE(headBytes + payload.length, at);
  bytes[at + lengthBytes] = type;
  bytes.writeUInt32BE(stream, at + lengthBytes + 1);
  const begin = at + lengthBytes + headBytes;
  bytes.set(payload, begin);
  output.at = begin + payload.length;
}

export function encodeHello({ version, frameBytesMax }: Hello): Buffer {
  return new Writer().u32(magic).u8(version).u32(frameBytesMax).bytes();
}

export function decodeHello(payload: Buffer): Hello {
  const reader = new Reader(payload);
  if (payload.length < 4 || reader.u32() !== magic) throw malformed("the peer doesn't speak framed TCP");
  const hello = { version: reader.u8(), frameBytesMax: reader.u32() };
  // Later versions may say more.
  if (hello.frameBytesMax < headBytes) throw malformed(`the peer takes frames of ${hello.frameBytesMax} bytes`);
  return hello;
}

export function encodeRequest({ path, codec, timeoutUs, metadata, message }: Request): Buffer {
  const writer = new Writer();
  // Rounded down, so that a deadline never grows on its way; the largest stands for none.
  writer.u64(timeoutUs === undefined ? noTimeout : Math.min(Math.floor(timeoutUs), noTimeout - 1));
  return writer.text(path).text(codec).metadata(metadata).rest(message).bytes();
}

export function decodeRequest(payload: Buffer): Request {
  const reader = new Reader(payload);
  const timeout = reader.u64();
  return {
    timeoutUs: timeout >= noTimeout ? undefined : timeout,
    path: reader.text(),
    codec: reader.text(),
    metadata: reader.metadata(),
    message: reader.rest(),
  };
}

export function encodeEnd({ error, trailers, message }: End): Buffer {
  const writer = new Writer().u8(error === undefined ? 0 : rpcCodes.indexOf(error.code));
  writer.text((error?.message ?? "").slice(0, statusCharactersMax).toWellFormed());
  writer.metadata(trailers).u8(message === undefined ? 0 : 1);
  return (message === undefined ? writer : writer.rest(message)).bytes();
}

export function decodeEnd(payload: Buffer): End {
  const reader = new Reader(payload);
  const code = rpcCodeOf(reader.u8());
  const text = reader.text();
  const trailers = reader.metadata();
  const message = reader.u8() === 1 ? reader.rest() : undefined;
  return { error: code === "OK" ? undefined : new RpcError(text, { code, trailers }), trailers, message };
}

export const encodeCredit = (messages: number): Buffer => new Writer().u32(messages).bytes();
export const decodeCredit = (payload: Buffer): number => new Reader(payload).u32();
export const encodeText = (text: string): Buffer => new Writer().text(text).bytes();
export const decodeText = (payload: Buffer): string => new Reader(payload).text();

/** 2^53 - 1 µs are 285 years. */
const noTimeout = Number.MAX_SAFE_INTEGER;

export const malformed = (message: string): RpcError =>
  new RpcError(message, { code: "INVALID_ARGUMENT", hint: "docs/framed-tcp.md describes the frames" });

/** Texts are UTF-8 behind a u32 that counts their bytes. */
class Writer {
  #bytes = Buffer.allocUnsafe(256);
  #at = 0;

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#at = this.#bytes.writeUInt32BE(value, this.#at);
    return this;
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / 0x100000000)).u32(value % 0x100000000);
  }

  text(value: string): this {
    // Of UTF-16, each unit takes at most three bytes.
    this.#room(4 + 3 * value.length);
    const length = this.#bytes.write(value, this.#at + 4, "utf8");
    this.#bytes.writeUInt32BE(length, this.#at);
    this.#at += 4 + length;
    return this;
  }

  metadata(entries: Metadata): this {
    this.u32(entries.size);
    const begin = this.#at;
    let lengths = 0;
    for (const [key, value] of entries) {
      this.text(key).text(value);
      lengths += 8;
      if (this.#at - begin - lengths > metadataBytesMax) {
        throw new RpcError(`the call's metadata is larger than ${metadataBytesMax} bytes`, {
          code: "RESOURCE_EXHAUSTED",
        });
      }
    }
    return this;
  }

  rest(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  #room(bytes: number): void {
    if (this.#bytes.length - this.#at >= bytes) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#at + bytes, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** Never reads past the end: a payload that promises more than it holds is malformed. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#take(1).readUInt8();
  }

  u32(): number {
    return this.#take(4).readUInt32BE();
  }

  u64(): number {
    return this.u32() * 0x100000000 + this.u32();
  }

  text(): string {
    const bytes = this.#take(this.u32());
    if (bytes.length <= asciiBytesMax && isAscii(bytes)) return bytes.toString("latin1");
    try {
      return utf8.decode(bytes);
    } catch {
      throw malformed("a text is no UTF-8");
    }
  }

  metadata(): Metadata {
    const count = this.u32();
    // Each entry takes 8 bytes at least.
    if (count * 8 > this.#bytes.length - this.#at)
      throw malformed(`${count} entries of metadata don't fit their frame`);
    if (count === 0) return noMetadata;
    const begin = this.#at;
    const entries: Record<string, string> = Object.create(null) as Record<string, string>;
    for (let index = 0; index < count; index++) entries[this.text()] = this.text();
    if (this.#at - begin - 8 * count > metadataBytesMax)
      throw malformed(`more than ${metadataBytesMax} bytes of metadata`);
    return noted(entries);
  }

  rest(): Buffer {
    return this.#take(this.#bytes.length - this.#at);
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw malformed("a frame ends in the middle of a value");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
/** Up to here a loop is faster than asking. */
const asciiBytesMax = 64;

function isAscii(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at]! > 0x7f) return false;
  return true;
}
