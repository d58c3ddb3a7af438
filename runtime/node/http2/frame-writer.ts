import type { Output } from "../output.ts";
import { frame, frameFlags, frameHeadBytes, frameTypes, u32, writeFrameHead } from "./frames.ts";
import { listBytes, noTable, writeFields } from "./hpack/encoder.ts";
import { writeSettings, type PeerSettings } from "./settings.ts";
import type { OutgoingFields, Place } from "./stream.ts";

/** Of a GOAWAY's text. */
const debugCharactersMax = 200;

/** Writes frames (RFC 9113 section 6), one behind the other, into what the connection is about to send. */
export class FrameWriter {
  readonly #output: Output;
  readonly #peer: PeerSettings;
  #hasWrittenFields = false;

  constructor(output: Output, peer: PeerSettings) {
    this.#output = output;
    this.#peer = peer;
  }

  /** Section 6.1. Copies both parts. */
  data(streamId: number, first: Uint8Array, second: Uint8Array, isEnd: boolean): void {
    const length = first.length + second.length;
    this.#output.room(frameHeadBytes + length);
    const { bytes, at } = this.#output;
    const flags = isEnd ? frameFlags.endStream : 0;
    const begin = writeFrameHead(bytes, at, { length, type: frameTypes.data, flags, streamId });
    bytes.set(first, begin);
    bytes.set(second, begin + first.length);
    this.#output.at = begin + length;
  }

  /** Room for a DATA frame, behind its head. */
  place(bytesMax: number): Place {
    this.#output.room(frameHeadBytes + bytesMax);
    const { bytes, at } = this.#output;
    return { bytes, at: at + frameHeadBytes };
  }

  /** A DATA frame of what was written there. */
  placed(streamId: number, length: number, isEnd: boolean): void {
    const { bytes, at } = this.#output;
    const flags = isEnd ? frameFlags.endStream : 0;
    this.#output.at = writeFrameHead(bytes, at, { length, type: frameTypes.data, flags, streamId }) + length;
  }

  /** Section 6.2: in one frame, mostly. */
  fields(streamId: number, fields: OutgoingFields, isEnd: boolean): void {
    const { list } = fields;
    const block = fields.block.bytes;
    const ahead = this.#hasWrittenFields ? 0 : noTable.length;
    this.#hasWrittenFields = true;
    this.#output.room(frameHeadBytes + ahead + block.length + listBytes(list));
    const { bytes, at } = this.#output;
    let end = at + frameHeadBytes;
    if (ahead > 0) bytes[end++] = noTable[0]!;
    // Blocks are short, and a loop is then faster than a call.
    for (let index = 0; index < block.length; index++) bytes[end++] = block[index]!;
    end = writeFields(bytes, end, list);
    const length = end - at - frameHeadBytes;
    const flags = isEnd ? frameFlags.endStream : 0;
    if (length > this.#peer.maxFrameSize) {
      // Not written yet: `at` stays, and the same room is used again.
      return this.#split(streamId, flags, Buffer.from(bytes.subarray(at + frameHeadBytes, end)));
    }
    const type = frameTypes.headers;
    writeFrameHead(bytes, at, { length, type, flags: flags | frameFlags.endHeaders, streamId });
    this.#output.at = end;
  }

  /** Section 6.4. */
  reset(streamId: number, code: number): void {
    this.#output.push(frame(frameTypes.rstStream, 0, streamId, u32(code)));
  }

  /** Section 6.5. */
  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    this.#output.push(frame(frameTypes.settings, 0, 0, writeSettings(entries)));
  }

  settingsAck(): void {
    this.#output.push(settingsAck);
  }

  /** Section 6.7. */
  ping(payload: Buffer, isAck = false): void {
    this.#output.push(frame(frameTypes.ping, isAck ? frameFlags.ack : 0, 0, payload));
  }

  /** Section 6.8. */
  goaway(lastStreamId: number, code: number, debug: string): void {
    const text = Buffer.from(debug.slice(0, debugCharactersMax));
    this.#output.push(frame(frameTypes.goaway, 0, 0, Buffer.concat([u32(lastStreamId), u32(code), text])));
  }

  /** Section 6.9; of the connection, or a stream. */
  windowUpdate(streamId: number, bytes: number): void {
    this.#output.push(frame(frameTypes.windowUpdate, 0, streamId, u32(bytes)));
  }

  /** Section 6.10: a block that is too long for a frame. */
  #split(streamId: number, flags: number, block: Buffer): void {
    const { maxFrameSize } = this.#peer;
    for (let from = 0; from < block.length; from += maxFrameSize) {
      const part = block.subarray(from, from + maxFrameSize);
      const isLast = from + maxFrameSize >= block.length;
      const type = from === 0 ? frameTypes.headers : frameTypes.continuation;
      const own = (from === 0 ? flags : 0) | (isLast ? frameFlags.endHeaders : 0);
      this.#output.push(frame(type, own, streamId, part));
    }
  }
}

const settingsAck = frame(frameTypes.settings, frameFlags.ack, 0);
