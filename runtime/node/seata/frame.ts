import { TransactionError } from "../../transactions/error.ts";

/** How a frame wants to be answered: its kind on the wire. */
export const frameKinds = ["request", "response", "one-way", "ping", "pong"] as const;
export type FrameKind = (typeof frameKinds)[number];

/** One frame of Seata's wire protocol, version 1. */
export interface Frame {
  readonly kind: FrameKind;
  /** Chosen by who asks; each side counts for itself. */
  readonly id: number;
  /** What the body is written in; 1: Seata's own codec. */
  readonly codec: number;
  /** Empty for ping and pong. */
  readonly body: Buffer;
}

export const seataCodec = 1;

/** Largest frame that either side takes (`MAX_FRAME_LENGTH` of Seata's decoder). */
export const frameBytesMax = 8 * 1024 * 1024;

const magic = 0xdada;
const version = 1;
const headBytes = 16;

/** The bytes of a frame without a head map and uncompressed, which is all that we write. */
export function encodeFrame({ kind, id, codec, body }: Frame): Buffer {
  const bytes = headBytes + body.length;
  if (bytes > frameBytesMax) {
    throw new TransactionError(`a frame of ${bytes} bytes; Seata takes ${frameBytesMax}`, { code: "InvalidArgument" });
  }
  const frame = Buffer.allocUnsafe(bytes);
  frame.writeUInt16BE(magic, 0);
  frame.writeUInt8(version, 2);
  frame.writeInt32BE(bytes, 3);
  frame.writeInt16BE(headBytes, 7);
  frame.writeUInt8(frameKinds.indexOf(kind), 9);
  frame.writeUInt8(codec, 10);
  frame.writeUInt8(0, 11);
  frame.writeInt32BE(id, 12);
  body.copy(frame, headBytes);
  return frame;
}

/** Cuts what a peer sends into frames. Throws a `ProtocolError` at the first byte that can't belong to one; nothing follows it. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next whole frame; undefined until it is there. */
  next(): Frame | undefined {
    if (this.#bytes < headBytes) {
      // Garbage is told from its first bytes on, not when enough of it has come.
      if (this.#bytes >= 2) checkMagic(this.#joined());
      return undefined;
    }
    const head = this.#chunks[0]!.length < headBytes ? this.#joined() : this.#chunks[0]!;
    checkMagic(head);
    const length = head.readInt32BE(3);
    const headLength = head.readInt16BE(7);
    if (head.readUInt8(2) !== version) throw garbage(`version ${head.readUInt8(2)}`);
    if (length < headBytes || length > frameBytesMax) throw garbage(`a frame of ${length} bytes`);
    if (headLength < headBytes || headLength > length) throw garbage(`a head of ${headLength} bytes`);
    const kind = frameKinds[head.readUInt8(9)];
    if (kind === undefined) throw garbage(`a message of kind ${head.readUInt8(9)}`);
    if (head.readUInt8(11) !== 0) throw garbage(`compressor ${head.readUInt8(11)}, and none was asked for`);
    if (this.#bytes < length) return undefined;
    const all = this.#joined();
    const frame = { kind, id: all.readInt32BE(12), codec: all.readUInt8(10), body: all.subarray(headLength, length) };
    this.#bytes -= length;
    this.#chunks = this.#bytes === 0 ? [] : [all.subarray(length)];
    return frame;
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)];
    return this.#chunks[0]!;
  }
}

function checkMagic(bytes: Buffer): void {
  if (bytes.readUInt16BE(0) !== magic) throw garbage(`the magic number ${bytes.toString("hex", 0, 2)}`);
}

export function garbage(what: string): TransactionError {
  return new TransactionError(`no message of Seata's protocol: ${what}`, {
    code: "ProtocolError",
    hint: "is it Seata's port (8091), and not the one of its console (7091)?",
  });
}
