import { ConnectionError, errorCodes } from "./errors.ts";

/**
 * RFC 9113 section 4: a frame is
 *
 *     length u24 │ type u8 │ flags u8 │ reserved 1 bit, stream u31 │ payload        (big-endian; `length` counts the payload)
 */
export const frameHeadBytes = 9;

/** Section 6. */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const frameFlags = {
  /** DATA, HEADERS: nothing of this side comes after it. */
  endStream: 0x1,
  /** SETTINGS, PING. */
  ack: 0x1,
  /** HEADERS, CONTINUATION: the field block is complete. */
  endHeaders: 0x4,
  /** DATA, HEADERS. */
  padded: 0x8,
  /** HEADERS: a priority comes first; nobody heeds it. */
  priority: 0x20,
} as const;

/** Section 3.4: what a client says first, before its SETTINGS. */
export const clientPreface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Section 4.2: the longest payload that everybody takes; it stays so on this side. */
export const payloadBytesDefault = 16_384;
export const payloadBytesLimit = 16_777_215;

/** The highest stream number, and the largest window (sections 5.1.1 and 6.9.1). */
export const int31Max = 0x7fffffff;

const nothing = Buffer.alloc(0);

/** Hears each frame as it is cut out of the bytes; the payload is a view of them, and is gone when this returns. */
export type OnFrame = (type: number, flags: number, streamId: number, payload: Buffer) => void;

/**
 * Cuts a connection's bytes into frames, however they were cut on their way. Only a frame that was cut is copied: its beginning waits for
 * its end in a buffer that grows with what has really come, and is used for the next one too.
 */
export class FrameReader {
  readonly #onFrame: OnFrame;
  #cut: Buffer = nothing;
  #cutBytes = 0;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  /** A frame has begun and isn't complete. */
  get isPartial(): boolean {
    return this.#cutBytes > 0;
  }

  /** Throws a FRAME_SIZE_ERROR for a frame that is longer than this side takes, before any of it is kept; and what `onFrame` throws. */
  push(chunk: Buffer): void {
    let at = this.#cutBytes === 0 ? 0 : this.#mend(chunk);
    while (chunk.length - at >= frameHeadBytes) {
      const end = at + frameBytes(chunk, at);
      if (end > chunk.length) break;
      this.#tell(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#gather(chunk, at, chunk.length - at);
  }

  /** Completes the frame that was cut, if its end has come; answers how much of the chunk is its. */
  #mend(chunk: Buffer): number {
    let at = 0;
    if (this.#cutBytes < frameHeadBytes) {
      at = this.#gather(chunk, 0, frameHeadBytes - this.#cutBytes);
      if (this.#cutBytes < frameHeadBytes) return at;
    }
    const whole = frameBytes(this.#cut, 0);
    at = this.#gather(chunk, at, whole - this.#cutBytes);
    if (this.#cutBytes < whole) return at;
    this.#cutBytes = 0;
    this.#tell(this.#cut, 0, whole);
    return at;
  }

  /** Keeps up to so many bytes; answers where those behind them begin. */
  #gather(chunk: Buffer, from: number, bytes: number): number {
    const end = Math.min(from + bytes, chunk.length);
    const need = this.#cutBytes + end - from;
    if (need > this.#cut.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(need, 2 * this.#cut.length));
      this.#cut.copy(larger, 0, 0, this.#cutBytes);
      this.#cut = larger;
    }
    this.#cutBytes += chunk.copy(this.#cut, this.#cutBytes, from, end);
    return end;
  }

  #tell(bytes: Buffer, at: number, end: number): void {
    const payload = bytes.subarray(at + frameHeadBytes, end);
    this.#onFrame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5) & int31Max, payload);
  }
}

/** Of the whole frame that begins there. */
function frameBytes(bytes: Buffer, at: number): number {
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length > payloadBytesDefault) throw new ConnectionError(`a frame of ${length} bytes`, errorCodes.frameSizeError);
  return frameHeadBytes + length;
}

/** Writes a frame's head; answers where its payload begins. */
export function writeFrameHead(
  bytes: Buffer,
  at: number,
  head: { readonly length: number; readonly type: number; readonly flags: number; readonly streamId: number },
): number {
  const { length, type, flags, streamId } = head;
  bytes[at] = length >> 16;
  bytes[at + 1] = length >> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes[at + 5] = streamId >> 24;
  bytes[at + 6] = streamId >> 16;
  bytes[at + 7] = streamId >> 8;
  bytes[at + 8] = streamId;
  return at + frameHeadBytes;
}

/** A whole frame, for what is sent rarely. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = nothing): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  bytes.set(payload, writeFrameHead(bytes, 0, { length: payload.length, type, flags, streamId }));
  return bytes;
}

/** Sections 6.1 and 6.2: the payload without its padding, of a frame whose flag says that it is padded. */
export function unpadded(payload: Buffer): Buffer {
  if (payload.length === 0) throw new ConnectionError("a padded frame without a length", errorCodes.frameSizeError);
  const padding = payload[0]!;
  if (padding >= payload.length) throw new ConnectionError("more padding than payload");
  return payload.subarray(1, payload.length - padding);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
