import { ConnectionError, errorCodes } from "../errors.ts";
import { isWellFormed } from "../field-form.ts";
import { DynamicTable } from "./dynamic-table.ts";
import type { Fields } from "./field-list.ts";
import { huffmanText } from "./huffman.ts";
import { fixed, knownListBytesMax, KnownBlocks, type Likeness, type Marks } from "./known-blocks.ts";
import { entryOverheadBytes, staticEntries, staticNames, staticValues } from "./static-table.ts";

/** What the table may hold, by the SETTINGS that this side sends: the default. */
export const tableBytesDefault = 4096;

/** The receiving half of HPACK (RFC 7541), for one direction of one connection. */
export class HpackDecoder {
  readonly #tableBytesLimit: number;
  readonly #listBytesMax: number;
  readonly #table: DynamicTable;
  readonly #known = new KnownBlocks();
  /** Of the block that is decoded, as the following. */
  #marks: Marks = { ends: [], lefts: [] };
  #refersToTable = false;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** `listBytesMax`: fields beyond it (by section 6.5.2 of RFC 9113: texts and 32 each) are left out. */
  constructor({ listBytesMax, tableBytesMax = tableBytesDefault }: { listBytesMax: number; tableBytesMax?: number }) {
    this.#listBytesMax = listBytesMax;
    this.#tableBytesLimit = tableBytesMax;
    this.#table = new DynamicTable(tableBytesMax);
  }

  /** The dynamic table, newest first, as section 2.3.2 numbers it. */
  get table(): readonly (readonly [name: string, value: string])[] {
    const table = this.#table;
    return Array.from({ length: table.size }, (_, at) => [table.name(at + 1), table.value(at + 1)]);
  }

  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** Throws a COMPRESSION_ERROR: from then on nothing can be understood any more. */
  decode(block: Buffer): Fields {
    const table = this.#table;
    const { version } = table;
    const like = this.#known.like(block, version);
    if (like?.isSame === true) return like.known.fields;
    const fields = this.#decode(block, like);
    const listBytes = this.#listBytesMax - (this.#marks.lefts.at(-1) ?? this.#listBytesMax);
    // One that changes the table means something else the next time.
    if (table.version === version && listBytes > 0 && listBytes <= knownListBytesMax) {
      const decoded = { fields, marks: this.#marks, version: this.#refersToTable ? version : fixed };
      this.#marks = this.#known.remember(block, decoded, like);
    }
    return fields;
  }

  /** Section 6, field by field: those that lie within what the block shares with a known one are known too. */
  #decode(block: Buffer, like: Likeness | undefined): Fields {
    const { ends, lefts } = this.#marks;
    ends.length = lefts.length = 0;
    let list: string[] = [];
    let left = this.#listBytesMax;
    let isSound = true;
    this.#refersToTable = false;
    this.#at = 0;
    if (like !== undefined) {
      const { known, shared } = like;
      const { marks, fields, version } = known;
      let count = 0;
      while (count < marks.ends.length && marks.ends[count]! <= shared) {
        ends.push(marks.ends[count]!);
        lefts.push(marks.lefts[count]!);
        count++;
      }
      if (count > 0) {
        this.#at = ends[count - 1]!;
        left = lefts[count - 1]!;
        list = fields.list.slice(0, 2 * count);
        isSound = fields.isWellFormed === true;
        this.#refersToTable = version !== fixed;
      }
    }
    this.#bytes = block;
    let mayResize = this.#at === 0;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      // Section 6.3.
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw broken("a table is resized only at the beginning of a block");
        this.#resize(this.#integer(5));
        continue;
      }
      mayResize = false;
      let name: string;
      let value: string;
      if (first & 0x80) {
        // Section 6.1.
        const index = this.#integer(7);
        name = this.#name(index);
        if (index <= staticEntries) value = staticValues[index]!;
        else {
          value = this.#table.value(index - staticEntries);
          isSound &&= this.#table.isSound(index - staticEntries);
        }
      } else {
        // Section 6.2: kept in the table (6.2.1), or not (6.2.2, 6.2.3).
        const isIndexed = (first & 0x40) !== 0;
        const index = this.#integer(isIndexed ? 6 : 4);
        name = index === 0 ? this.#text() : this.#name(index);
        value = this.#text();
        const isThisSound = isWellFormed(name, value);
        isSound &&= isThisSound;
        if (isIndexed) this.#table.insert(name, value, isThisSound);
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

  /** Section 2.3.3: one numbering for both tables. */
  #name(index: number): string {
    if (index === 0) throw broken("index 0");
    if (index <= staticEntries) return staticNames[index]!;
    const own = index - staticEntries;
    if (own > this.#table.size) throw broken(`there is no entry ${index}`);
    this.#refersToTable = true;
    return this.#table.name(own);
  }

  #resize(bytes: number): void {
    if (bytes > this.#tableBytesLimit) throw broken(`a table of ${bytes} bytes`);
    this.#table.resize(bytes);
  }
}

const broken = (message: string): ConnectionError => new ConnectionError(message, errorCodes.compressionError);
