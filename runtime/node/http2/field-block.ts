import { ConnectionError, errorCodes } from "./errors.ts";
import { frameFlags, unpadded } from "./frames.ts";

/** A block is never larger than its list; one that is, is read up to here for the table's sake, and its request refused. */
const blockBytesMax = 256 * 1024;
const continuationsMax = 64;

/** A field section's block, whole. */
export interface FieldBlockRead {
  readonly streamId: number;
  readonly isEnd: boolean;
  /** A view of what was received, or a copy where it came in parts. */
  readonly block: Buffer;
}

/** Puts field blocks together (RFC 9113 section 4.3): one HEADERS frame, and CONTINUATION frames until one says that it is the last. */
export class FieldBlockReader {
  #begun: { readonly streamId: number; readonly isEnd: boolean; readonly parts: Buffer[]; bytes: number } | undefined;

  /** A block has begun: on its stream CONTINUATION has to follow, and nothing else may come. */
  get streamId(): number | undefined {
    return this.#begun?.streamId;
  }

  /** Section 6.2; priorities are ignored (section 5.3.2). Undefined: there is more to come. */
  headers(flags: number, streamId: number, payload: Buffer): FieldBlockRead | undefined {
    if (streamId === 0) throw new ConnectionError("HEADERS of no stream");
    let block = flags & frameFlags.padded ? unpadded(payload) : payload;
    if (flags & frameFlags.priority) {
      if (block.length < 5) throw new ConnectionError("HEADERS without their priority", errorCodes.frameSizeError);
      block = block.subarray(5);
    }
    const isEnd = (flags & frameFlags.endStream) !== 0;
    if (flags & frameFlags.endHeaders) return { streamId, isEnd, block };
    this.#begun = { streamId, isEnd, parts: [Buffer.from(block)], bytes: block.length };
    return undefined;
  }

  /** Section 6.10. */
  continuation(flags: number, payload: Buffer): FieldBlockRead | undefined {
    const begun = this.#begun;
    if (begun === undefined) throw new ConnectionError("CONTINUATION of nothing");
    begun.bytes += payload.length;
    begun.parts.push(Buffer.from(payload));
    if (begun.bytes > blockBytesMax || begun.parts.length > continuationsMax) {
      throw new ConnectionError("a field section without an end", errorCodes.enhanceYourCalm);
    }
    if (!(flags & frameFlags.endHeaders)) return undefined;
    this.#begun = undefined;
    const { streamId, isEnd, parts } = begun;
    return { streamId, isEnd, block: Buffer.concat(parts) };
  }
}
