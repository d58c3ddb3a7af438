import type { Fields } from "./field-list.ts";

/** Blocks that are remembered, and the longest of them and of their lists: by the table, a byte of a block may be a field of its list. */
const knownMax = 8;
const knownBytesMax = 2048;
export const knownListBytesMax = 8192;

/** Of a block that refers to nothing in the dynamic table: it means the same whatever becomes of that. */
export const fixed = -1;

/** Of each field of a block: where it ends, and what is left of the list's bytes behind it. */
export interface Marks {
  readonly ends: number[];
  readonly lefts: number[];
}

/** A block that was decoded before. */
export interface KnownBlock {
  bytes: Buffer;
  length: number;
  marks: Marks;
  fields: Fields;
  /** Of the table that it refers to; or `fixed`. */
  version: number;
}

/** What a block has in common with one that is known. */
export interface Likeness {
  readonly known: KnownBlock;
  /** Bytes at the beginning of both. */
  readonly shared: number;
  readonly isSame: boolean;
}

/**
 * Peers repeat themselves: of a block that begins as one did before, while the dynamic table hasn't changed under it, only the rest needs
 * to be decoded. Where all but a deadline is the same, and that is sent last, one field of a dozen is. It is no part of HPACK: without it
 * the decoder says the same.
 */
export class KnownBlocks {
  /** The last used first. */
  readonly #all: KnownBlock[] = [];

  /** The one that begins like this block for the longest, which is put first; most blocks are like the last one. */
  like(block: Buffer, tableVersion: number): Likeness | undefined {
    if (block.length > knownBytesMax) return undefined;
    const all = this.#all;
    let best = -1;
    let shared = 0;
    for (let at = 0; at < all.length; at++) {
      const { bytes, length, version } = all[at]!;
      if (version !== fixed && version !== tableVersion) {
        all.splice(at--, 1);
        continue;
      }
      const same = sharedBytes(bytes, block, Math.min(length, block.length));
      if (same <= shared) continue;
      best = at;
      shared = same;
      if (2 * shared > block.length) break;
    }
    if (best < 0) return undefined;
    const known = all[best]!;
    if (best > 0) {
      all.splice(best, 1);
      all.unshift(known);
    }
    return { known, shared, isSame: shared === block.length && shared === known.length };
  }

  /**
   * Remembers a block with its marks, which are its own from now on; the answer is what the next block may be marked in. It takes the place
   * of one that it differs little from: another method's, another answer's stay.
   */
  remember(
    block: Buffer,
    { fields, marks, version }: Pick<KnownBlock, "fields" | "marks" | "version">,
    like: Likeness | undefined,
  ): Marks {
    if (block.length > knownBytesMax) return marks;
    if (like === undefined || 2 * like.shared <= block.length) {
      if (this.#all.length === knownMax) this.#all.pop();
      const bytes = Buffer.allocUnsafeSlow(block.length);
      block.copy(bytes);
      this.#all.unshift({ bytes, length: block.length, marks, fields, version });
      return { ends: [], lefts: [] };
    }
    const { known, shared } = like;
    if (known.bytes.length < block.length) {
      known.bytes = Buffer.allocUnsafeSlow(block.length);
      block.copy(known.bytes);
    } else block.copy(known.bytes, shared, shared);
    const { marks: spare } = known;
    known.length = block.length;
    known.marks = marks;
    known.fields = fields;
    known.version = version;
    return spare;
  }
}

/** How many of the first `length` bytes are the same. */
function sharedBytes(one: Buffer, other: Buffer, length: number): number {
  let at = 0;
  while (at < length && one[at] === other[at]) at++;
  return at;
}
