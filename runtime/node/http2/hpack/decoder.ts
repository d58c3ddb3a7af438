import { ConnectionError, errorCodes } from "../errors.ts";
import { isWellFormed } from "../field-form.ts";
import { huffmanText } from "./huffman.ts";
import { staticEntries, staticNames, staticValues } from "./static-table.ts";

/** A field section: names and values in turn, one character a byte. Shared by all who get the same block: nobody changes it. */
export interface Fields {
  readonly list: readonly string[];
  /** More than the limit was sent: the list has only what came before it. */
  readonly isTooLarge: boolean;
  /** All of them are known to be texts that a field may have; false, or absent: somebody has to look. */
  readonly isWellFormed?: boolean;
  /** What `fields.ts` found out about it, kept beside it because blocks are repeated. */
  checked?: { readonly role: string; readonly trouble: string | undefined } | undefined;
  /** What the protocol above read in it, kept for the same reason. */
  understood?: unknown;
}

/** RFC 7541 section 4.1: what an entry costs besides its texts. */
export const entryOverheadBytes = 32;

/** What the table may hold, by the SETTINGS that this side sends: the default. */
export const tableBytesDefault = 4096;

/** Blocks that are remembered, and the longest of them: 16 KiB a connection, and their texts. */
const rememberedMax = 8;
const rememberedBytesMax = 2048;

/** A block, and how far its fields reach: what begins as it does is decoded from there on. */
interface Remembered {
  bytes: Buffer;
  length: number;
  /** Where each field ends, and what is left of the list's bytes behind it. */
  ends: number[];
  lefts: number[];
  fields: Fields;
  /** Of the table that it refers to; `fixed`: it refers to nothing in it. */
  version: number;
}

interface Likeness {
  readonly known: Remembered;
  /** Bytes at the beginning of both. */
  readonly shared: number;
}

/**
 * The receiving half of HPACK (RFC 7541), for one direction of one connection. Peers repeat themselves: of a block that begins as one did
 * before, while the dynamic table hasn't changed under it, only the rest is decoded. Where all but a deadline is the same, and that is
 * sent last, one field of a dozen is.
 */
export class HpackDecoder {
  readonly #tableBytesLimit: number;
  readonly #listBytesMax: number;
  #tableBytesMax: number;
  #tableBytes = 0;
  /** Oldest first. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  /** Of each entry: it is a field's text (section 8.2.1 of RFC 9113), looked at once and not each time that it is sent. */
  readonly #areSound: boolean[] = [];
  /** The last used first. */
  readonly #remembered: Remembered[] = [];
  /** Counts the table's changes. */
  #version = 0;
  /** Of the block that is decoded. */
  #ends: number[] = [];
  #lefts: number[] = [];
  #refersToTable = false;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** `listBytesMax`: fields beyond it (by section 6.5.2 of RFC 9113: texts and 32 each) are left out. */
  constructor({ listBytesMax, tableBytesMax = tableBytesDefault }: { listBytesMax: number; tableBytesMax?: number }) {
    this.#listBytesMax = listBytesMax;
    this.#tableBytesLimit = tableBytesMax;
    this.#tableBytesMax = tableBytesMax;
  }

  /** The dynamic table, newest first, as section 2.3.2 numbers it. */
  get table(): readonly (readonly [name: string, value: string])[] {
    return this.#names.map((name, at): [string, string] => [name, this.#values[at]!]).reverse();
  }

  get tableBytes(): number {
    return this.#tableBytes;
  }

  /** Throws a COMPRESSION_ERROR: from then on nothing can be understood any more. */
  decode(block: Buffer): Fields {
    if (block.length > rememberedBytesMax) return this.#decode(block, undefined, 0);
    const like = this.#like(block);
    if (like !== undefined && like.shared === block.length && like.shared === like.known.length) {
      return like.known.fields;
    }
    const versionBefore = this.#version;
    const fields = this.#decode(block, like?.known, like?.shared ?? 0);
    // One that changes the table means something else the next time.
    if (versionBefore === this.#version && fields.list.length > 0) this.#remember(block, fields, like);
    return fields;
  }

  /** It takes the place of one that it differs little from: another method's, another answer's stay. */
  #remember(block: Buffer, fields: Fields, like: Likeness | undefined): void {
    const version = this.#refersToTable ? this.#version : fixed;
    if (like === undefined || 2 * like.shared <= block.length) {
      if (this.#remembered.length === rememberedMax) this.#remembered.pop();
      const bytes = Buffer.allocUnsafeSlow(block.length);
      block.copy(bytes);
      const [ends, lefts] = [this.#ends, this.#lefts];
      [this.#ends, this.#lefts] = [[], []];
      this.#remembered.unshift({ bytes, length: block.length, ends, lefts, fields, version });
      return;
    }
    const { known, shared } = like;
    if (known.bytes.length < block.length) {
      known.bytes = Buffer.allocUnsafeSlow(block.length);
      block.copy(known.bytes);
    } else block.copy(known.bytes, shared, shared);
    known.length = block.length;
    [known.ends, this.#ends] = [this.#ends, known.ends];
    [known.lefts, this.#lefts] = [this.#lefts, known.lefts];
    known.fields = fields;
    known.version = version;
  }

  /** The one that begins like this block for the longest, which is put first; most blocks are like the last one. */
  #like(block: Buffer): Likeness | undefined {
    const remembered = this.#remembered;
    let best = -1;
    let shared = 0;
    for (let at = 0; at < remembered.length; at++) {
      const { bytes, length, version } = remembered[at]!;
      if (version !== fixed && version !== this.#version) {
        remembered.splice(at--, 1);
        continue;
      }
      const same = sharedBytes(bytes, block, Math.min(length, block.length));
      if (same <= shared) continue;
      best = at;
      shared = same;
      if (2 * shared > block.length) break;
    }
    if (best < 0) return undefined;
    const known = remembered[best]!;
    if (best > 0) {
      remembered.splice(best, 1);
      remembered.unshift(known);
    }
    return { known, shared };
  }

  /** The fields of `known` that lie within the first `shared` bytes are this block's too. */
  #decode(block: Buffer, known: Remembered | undefined, shared: number): Fields {
    const ends = this.#ends;
    const lefts = this.#lefts;
    ends.length = lefts.length = 0;
    let list: string[] = [];
    let left = this.#listBytesMax;
    let isSound = true;
    this.#refersToTable = false;
    this.#at = 0;
    if (known !== undefined) {
      let count = 0;
      while (count < known.ends.length && known.ends[count]! <= shared) {
        ends.push(known.ends[count]!);
        lefts.push(known.lefts[count]!);
        count++;
      }
      if (count > 0) {
        this.#at = ends[count - 1]!;
        left = lefts[count - 1]!;
        list = known.fields.list.slice(0, 2 * count);
        isSound = known.fields.isWellFormed === true;
        this.#refersToTable = known.version !== fixed;
      }
    }
    this.#bytes = block;
    let mayResize = this.#at === 0;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw broken("a table is resized only at the beginning of a block");
        this.#resize(this.#integer(5));
        continue;
      }
      mayResize = false;
      let name: string;
      let value: string;
      if (first & 0x80) {
        const index = this.#integer(7);
        name = this.#name(index);
        if (index <= staticEntries) value = staticValues[index]!;
        else {
          const place = this.#place(index);
          value = this.#values[place]!;
          isSound &&= this.#areSound[place]!;
          this.#refersToTable = true;
        }
      } else {
        const isIndexed = (first & 0x40) !== 0;
        const index = this.#integer(isIndexed ? 6 : 4);
        name = index === 0 ? this.#text() : this.#name(index);
        value = this.#text();
        if (index > staticEntries) this.#refersToTable = true;
        const isThisSound = isWellFormed(name, value);
        isSound &&= isThisSound;
        if (isIndexed) this.#insert(name, value, isThisSound);
      }
      // What is left out is decoded all the same: the table has to stay what the peer thinks it is.
      left -= name.length + value.length + entryOverheadBytes;
      if (left >= 0) {
        list.push(name, value);
        ends.push(this.#at);
        lefts.push(left);
      }
    }
    return { list, isTooLarge: left < 0, isWellFormed: isSound, checked: undefined, understood: undefined };
  }

  /** Section 5.1, up to 2^28: longer is no index, length or size that anybody has. */
  #integer(prefixBits: number): number {
    const prefix = (1 << prefixBits) - 1;
    let value = this.#bytes[this.#at++]! & prefix;
    if (value < prefix) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw broken("a block ends in the middle of an integer");
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken("an integer is too long");
  }

  /** Section 5.2. */
  #text(): string {
    const first = this.#bytes[this.#at];
    if (first === undefined) throw broken("a block ends before a text");
    const length = this.#integer(7);
    const from = this.#at;
    const end = from + length;
    if (end > this.#bytes.length) throw broken("a block ends in the middle of a text");
    this.#at = end;
    return first & 0x80 ? huffmanText(this.#bytes, from, end) : this.#bytes.toString("latin1", from, end);
  }

  #name(index: number): string {
    if (index === 0) throw broken("index 0");
    return index <= staticEntries ? staticNames[index]! : this.#names[this.#place(index)]!;
  }

  #place(index: number): number {
    const place = this.#names.length - (index - staticEntries);
    if (place < 0) throw broken(`there is no entry ${index}`);
    return place;
  }

  /** Section 4.3. */
  #resize(bytes: number): void {
    if (bytes > this.#tableBytesLimit) throw broken(`a table of ${bytes} bytes`);
    this.#tableBytesMax = bytes;
    this.#version++;
    this.#evict(bytes);
  }

  /** Section 4.4: an entry that is larger than the table empties it. */
  #insert(name: string, value: string, isSound: boolean): void {
    this.#version++;
    const bytes = name.length + value.length + entryOverheadBytes;
    this.#evict(this.#tableBytesMax - bytes);
    if (bytes > this.#tableBytesMax) return;
    this.#names.push(name);
    this.#values.push(value);
    this.#areSound.push(isSound);
    this.#tableBytes += bytes;
  }

  #evict(bytesMax: number): void {
    while (this.#tableBytes > bytesMax && this.#names.length > 0) {
      this.#tableBytes -= this.#names.shift()!.length + this.#values.shift()!.length + entryOverheadBytes;
      this.#areSound.shift();
    }
  }
}

/** Of a block that refers to nothing in the table: it means the same whatever becomes of that. */
const fixed = -1;

/** How many of the first `length` bytes are the same. */
function sharedBytes(one: Buffer, other: Buffer, length: number): number {
  let at = 0;
  while (at < length && one[at] === other[at]) at++;
  return at;
}

const broken = (message: string): ConnectionError => new ConnectionError(message, errorCodes.compressionError);
