import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";

import type { MessageWriter } from "./codec.ts";

/** Kept in one piece for many small messages, so that none of them has an allocation of its own. */
const slabBytes = 128 * 1024;
/** What a field of fixed kind takes at most: a tag of 5 bytes and a varint of 10; a text's or bytes' length is a shorter one. */
const fieldBytesMax = 15;
/** A UTF-16 code unit as UTF-8. */
const unitBytesMax = 3;
/** Longer texts are left to the platform. */
const loopCharactersMax = 48;

/** A field of a message that is plain. */
export interface FlatField {
  readonly name: string;
  readonly kind: "text" | "bytes" | "int32" | "uint32" | "bool";
  readonly tag: number;
}

/**
 * Protocol Buffers' binary format for messages of plain fields, which most requests and replies are: one pass from the message to wherever
 * its bytes are to go. The same bytes as `toBinary`'s. Undefined for a type that has other fields, and for a message that isn't plain
 * (a value of another type, a broken text, fields that the type doesn't know) or is large: `toBinary` decides about it.
 */
export function flatWriter<Desc extends DescMessage>(
  schema: Desc,
): ((message: MessageShape<Desc>) => MessageWriter | undefined) | undefined {
  const fields = flatFields(schema);
  if (fields === undefined) return undefined;
  return (message) => {
    const values = message as unknown as Readonly<Record<string, unknown>>;
    if (values["$typeName"] !== schema.typeName || values["$unknown"] !== undefined) return undefined;
    const bytesMax = bytesNeeded(fields, values);
    // A large one would take up to three times its room.
    return bytesMax < 0 || bytesMax > slabBytes / 2 ? undefined : new FlatWriter(fields, values, bytesMax);
  };
}

/** The bytes of what was about to be written, handed out once and never written again. */
export function written(writer: MessageWriter): Uint8Array {
  if (slab.length - slabAt < writer.bytesMax) {
    slab = new Uint8Array(slabBytes);
    slabAt = 0;
  }
  const from = slabAt;
  slabAt = writer.write(slab, from);
  return slab.subarray(from, slabAt);
}

class FlatWriter implements MessageWriter {
  readonly bytesMax: number;
  readonly #fields: readonly FlatField[];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(fields: readonly FlatField[], values: Readonly<Record<string, unknown>>, bytesMax: number) {
    this.bytesMax = bytesMax;
    this.#fields = fields;
    this.#values = values;
  }

  write(bytes: Uint8Array, from: number): number {
    return writeFields(bytes, from, this.#fields, this.#values);
  }
}

/** The fields of a type in the order of their numbers; undefined where one isn't plain. */
export function flatFields(schema: DescMessage): readonly FlatField[] | undefined {
  const fields: FlatField[] = [];
  for (const field of schema.fields.toSorted((a, b) => a.number - b.number)) {
    const kind = kindOf(field);
    if (kind === undefined) return undefined;
    const wireType = kind === "text" || kind === "bytes" ? lengthDelimited : varint;
    fields.push({ name: field.localName, kind, tag: ((field.number << 3) | wireType) >>> 0 });
  }
  return fields;
}

const varint = 0;
const lengthDelimited = 2;
let slab = new Uint8Array(0);
let slabAt = 0;
const encoder = new TextEncoder();

/** Only fields whose default isn't sent: `optional` ones, members of a oneof, lists, maps and messages aren't plain. */
function kindOf(field: DescField): FlatField["kind"] | undefined {
  if (field.presence !== implicit || field.oneof !== undefined) return undefined;
  if (field.fieldKind === "enum") return "int32";
  return field.fieldKind === "scalar" ? kinds.get(field.scalar) : undefined;
}

/** `FieldDescriptorProto.Type` and `FeatureSet.FieldPresence` of the descriptor format. */
const kinds: ReadonlyMap<number, FlatField["kind"]> = new Map([
  [9, "text"],
  [12, "bytes"],
  [5, "int32"],
  [13, "uint32"],
  [8, "bool"],
]);
const implicit = 2 as DescField["presence"];

/** At most so many bytes; -1 when a value isn't of its field's type. */
function bytesNeeded(fields: readonly FlatField[], values: Readonly<Record<string, unknown>>): number {
  let bytes = 0;
  for (const { name, kind } of fields) {
    const value = values[name];
    bytes += fieldBytesMax;
    if (kind === "text") {
      if (typeof value !== "string" || !value.isWellFormed()) return -1;
      bytes += unitBytesMax * value.length;
    } else if (kind === "bytes") {
      if (!(value instanceof Uint8Array)) return -1;
      bytes += value.length;
    } else if (kind === "bool") {
      if (typeof value !== "boolean") return -1;
    } else if (value !== (kind === "int32" ? (value as number) | 0 : (value as number) >>> 0)) return -1;
  }
  return bytes;
}

/** Answers where they ended. */
function writeFields(
  bytes: Uint8Array,
  from: number,
  fields: readonly FlatField[],
  values: Readonly<Record<string, unknown>>,
): number {
  let at = from;
  for (const { name, kind, tag } of fields) {
    const value = values[name];
    if (kind === "text") {
      if (value === "") continue;
      at = writeText(bytes, writeVarint(bytes, at, tag), value as string);
    } else if (kind === "bytes") {
      const { length } = value as Uint8Array;
      if (length === 0) continue;
      at = writeVarint(bytes, writeVarint(bytes, at, tag), length);
      bytes.set(value as Uint8Array, at);
      at += length;
    } else if (kind === "bool") {
      if (value === false) continue;
      at = writeVarint(bytes, at, tag);
      bytes[at++] = 1;
    } else if (value !== 0) {
      at = writeVarint(bytes, at, tag);
      at = (value as number) < 0 ? writeNegative(bytes, at, value as number) : writeVarint(bytes, at, value as number);
    }
  }
  return at;
}

/** Its length and its UTF-8; answers where it ended. */
function writeText(bytes: Uint8Array, from: number, text: string): number {
  const { length } = text;
  if (length <= loopCharactersMax) {
    let at = from + 1;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) break;
      bytes[at++] = code;
    }
    if (at === from + 1 + length) {
      bytes[from] = length;
      return at;
    }
  }
  // Most texts are ASCII; where one isn't, its length may take more bytes than was guessed.
  const guessed = varintBytes(length);
  const { written } = encoder.encodeInto(text, bytes.subarray(from + guessed));
  const needed = varintBytes(written);
  if (needed > guessed) bytes.copyWithin(from + needed, from + guessed, from + guessed + written);
  return writeVarint(bytes, from, written) + written;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

function writeVarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
  bytes[at] = rest;
  return at + 1;
}

/** Sign-extended to 64 bits, as the format wants it. */
function writeNegative(bytes: Uint8Array, from: number, value: number): number {
  let rest = BigInt.asUintN(64, BigInt(value));
  let at = from;
  for (; rest > 0x7fn; rest >>= 7n) bytes[at++] = Number(rest & 0x7fn) | 0x80;
  bytes[at] = Number(rest);
  return at + 1;
}
