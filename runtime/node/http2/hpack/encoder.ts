import { entryOverheadBytes, staticNameIndexes, staticPairIndexes } from "./static-table.ts";

/** A field section, or the beginning of one, that was encoded once to be sent often. */
export interface FieldBlock {
  readonly bytes: Buffer;
  /** What its fields count for at their receiver. */
  readonly listBytes: number;
}

/**
 * The sending half of HPACK (RFC 7541) without a table of its own: what the static table has whole is one byte, the rest are literals
 * that nobody is to remember (section 6.2.2). So blocks can be made once and sent on any connection, in any order.
 */
export function encodeFields(list: readonly string[]): FieldBlock {
  const bytes = Buffer.allocUnsafe(listBytes(list));
  return { bytes: bytes.subarray(0, writeFields(bytes, 0, list)), listBytes: listBytes(list) };
}

/** No fields. */
export const noBlock: FieldBlock = { bytes: Buffer.alloc(0), listBytes: 0 };

/**
 * Section 4.2, sent before the first block of a connection: the table that the peer keeps for this side is empty from then on, so that
 * no change of its SETTINGS_HEADER_TABLE_SIZE needs an answer.
 */
export const noTable = Buffer.from([0x20]);

/**
 * What the list counts for at its receiver (RFC 9113 section 6.5.2); no encoding of it is longer, because 32 are more than its lengths
 * take.
 */
export function listBytes(list: readonly string[]): number {
  let bytes = 0;
  for (let at = 0; at < list.length; at++) bytes += list[at]!.length;
  return bytes + (list.length / 2) * entryOverheadBytes;
}

/** Names and values in turn, one byte a character; answers where it ended. */
export function writeFields(bytes: Buffer, from: number, list: readonly string[]): number {
  let at = from;
  for (let index = 0; index < list.length; index += 2) at = writeField(bytes, at, list[index]!, list[index + 1]!);
  return at;
}

function writeField(bytes: Buffer, from: number, name: string, value: string): number {
  const index = staticNameIndexes.get(name);
  if (index === undefined) {
    bytes[from] = 0;
    return writeText(bytes, writeText(bytes, from + 1, name), value);
  }
  const pair = staticPairIndexes.get(`${name}\0${value}`);
  if (pair !== undefined) {
    bytes[from] = 0x80 | pair;
    return from + 1;
  }
  return writeText(bytes, writeInteger(bytes, from, 4, index), value);
}

function writeText(bytes: Buffer, from: number, text: string): number {
  const at = writeInteger(bytes, from, 7, text.length);
  return at + bytes.write(text, at, "latin1");
}

/** Section 5.1; the bits above the prefix are 0, which is what both callers want. */
function writeInteger(bytes: Buffer, from: number, prefixBits: number, value: number): number {
  const prefix = (1 << prefixBits) - 1;
  if (value < prefix) {
    bytes[from] = value;
    return from + 1;
  }
  bytes[from] = prefix;
  let at = from + 1;
  let rest = value - prefix;
  for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at] = rest;
  return at + 1;
}
