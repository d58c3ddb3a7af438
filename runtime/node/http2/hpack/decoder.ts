import { ConnectionError, errorCodes } from "../errors.ts";
import { huffmanText } from "./huffman.ts";
import { staticEntries, staticNames, staticValues } from "./static-table.ts";

/** A field section: names and values in turn, one character a byte. Shared by all who get the same block: nobody changes it. */
export interface Fields {
  readonly list: readonly string[];
  /** More than the limit was sent: the list has only what came before it. */
  readonly isTooLarge: boolean;
  /** What `fields.ts` found out about it, kept beside it because blocks are repeated. */
  checked?: { readonly role: string; readonly trouble: string | undefined };
}

/** RFC 7541 section 4.1: what an entry costs besides its texts. */
export const entryOverheadBytes = 32;

/** What the table may hold, by the SETTINGS that this side sends: the default. */
export const tableBytesDefault = 4096;

const cachedBlocksMax = 64;
const cachedBlockBytesMax = 512;

/**
 * The receiving half of HPACK (RFC 7541), for one direction of one connection. A block that comes again while the dynamic table hasn't
 * changed is recognised by its bytes: clients repeat themselves.
 */
export class HpackDecoder {
  readonly #tableBytesLimit: number;
  readonly #listBytesMax: number;
  #tableBytesMax: number;
  #tableBytes = 0;
  /** Oldest first. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  readonly #cache = new Map<string, Fields>();
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
    const isCacheable = block.length <= cachedBlockBytesMax;
    const key = isCacheable ? block.toString("latin1") : "";
    if (isCacheable) {
      const known = this.#cache.get(key);
      if (known !== undefined) return known;
    }
    this.#bytes = block;
    this.#at = 0;
    const { list, isTooLarge, isRepeatable } = this.#fields(block);
    const fields: Fields = { list, isTooLarge };
    if (!isRepeatable) this.#cache.clear();
    else if (isCacheable) {
      if (this.#cache.size >= cachedBlocksMax) this.#cache.clear();
      this.#cache.set(key, fields);
    }
    return fields;
  }

  #fields(block: Buffer) {
    const list: string[] = [];
    let left = this.#listBytesMax;
    let isRepeatable = true;
    let mayResize = true;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw broken("a table is resized only at the beginning of a block");
        this.#resize(this.#integer(5));
        isRepeatable = false;
        continue;
      }
      mayResize = false;
      let name: string;
      let value: string;
      if (first & 0x80) {
        const index = this.#integer(7);
        name = this.#name(index);
        value = index <= staticEntries ? staticValues[index]! : this.#values[this.#place(index)]!;
      } else {
        const isIndexed = (first & 0x40) !== 0;
        const index = this.#integer(isIndexed ? 6 : 4);
        name = index === 0 ? this.#text() : this.#name(index);
        value = this.#text();
        if (isIndexed) {
          this.#insert(name, value);
          isRepeatable = false;
        }
      }
      // What is left out is decoded all the same: the table has to stay what the peer thinks it is.
      left -= name.length + value.length + entryOverheadBytes;
      if (left >= 0) list.push(name, value);
    }
    return { list, isTooLarge: left < 0, isRepeatable };
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
    this.#evict(bytes);
  }

  /** Section 4.4: an entry that is larger than the table empties it. */
  #insert(name: string, value: string): void {
    const bytes = name.length + value.length + entryOverheadBytes;
    this.#evict(this.#tableBytesMax - bytes);
    if (bytes > this.#tableBytesMax) return;
    this.#names.push(name);
    this.#values.push(value);
    this.#tableBytes += bytes;
  }

  #evict(bytesMax: number): void {
    while (this.#tableBytes > bytesMax && this.#names.length > 0) {
      this.#tableBytes -= this.#names.shift()!.length + this.#values.shift()!.length + entryOverheadBytes;
    }
  }
}

const broken = (message: string): ConnectionError => new ConnectionError(message, errorCodes.compressionError);
