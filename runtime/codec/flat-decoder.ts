import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";

import { flatFields, type FlatField } from "./flat-encoder.ts";

/** Longer texts are left to the platform. */
const loopCharactersMax = 24;
/** Field numbers above it aren't looked up in a list. */
const numberMax = 255;

/**
 * The way back of `flatEncoder`, for types of plain fields without bytes: one pass over the bytes, without a reader, a context or a view.
 * The same message as `fromBinary`'s. Undefined for a type that has other fields; the decoder answers undefined for whatever isn't a
 * sequence of its type's fields as they are usually written (unknown ones, other wire types, long varints, broken texts, what is cut
 * off): `fromBinary` decides about it.
 */
export function flatDecoder<Desc extends DescMessage>(
  schema: Desc,
): ((bytes: Uint8Array) => MessageShape<Desc> | undefined) | undefined {
  const fields = flatFields(schema);
  if (fields === undefined || fields.some(({ kind, tag }) => kind === "bytes" || tag >>> 3 > numberMax))
    return undefined;
  const empty = create(schema);
  // A spread would lose what else it is.
  if (Object.getPrototypeOf(empty) !== Object.prototype) return undefined;
  const byTag: (FlatField | undefined)[] = [];
  for (const field of fields) byTag[field.tag] = field;
  return (bytes) => {
    const message = { ...empty } as unknown as Record<string, unknown>;
    return decodeInto(message, bytes, byTag) ? (message as unknown as MessageShape<Desc>) : undefined;
  };
}

function decodeInto(
  message: Record<string, unknown>,
  bytes: Uint8Array,
  byTag: readonly (FlatField | undefined)[],
): boolean {
  const { length } = bytes;
  for (let at = 0; at < length;) {
    let tag = bytes[at++]!;
    if (tag > 0x7f) {
      const high = bytes[at++];
      // Over two bytes is beyond `numberMax`; a second one of 0 isn't how anybody writes it.
      if (high === undefined || high === 0 || high > 0x7f) return false;
      tag = (tag & 0x7f) | (high << 7);
    }
    const field = byTag[tag];
    if (field === undefined) return false;
    // A varint: the value, or a text's length.
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      // The fifth has the 32 bits' last four; a negative number has ten bytes.
      if (byte === undefined || (shift === 28 && byte > 0x0f)) return false;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (field.kind === "text") {
      const end = at + value;
      if (value < 0 || end > length) return false;
      const text = textOf(bytes, at, end);
      if (text === undefined) return false;
      message[field.name] = text;
      at = end;
    } else if (field.kind === "bool") message[field.name] = value !== 0;
    else message[field.name] = field.kind === "int32" ? value : value >>> 0;
  }
  return true;
}

/** Undefined where it is no UTF-8. */
function textOf(bytes: Uint8Array, from: number, end: number): string | undefined {
  if (end - from <= loopCharactersMax) {
    let text = "";
    let at = from;
    for (; at < end && bytes[at]! <= 0x7f; at++) text += characters[bytes[at]!]!;
    if (at === end) return text;
  }
  try {
    return decoder.decode(bytes.subarray(from, end));
  } catch {
    return undefined;
  }
}

/** What the library reads by, too: a byte-order mark is text. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const characters = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code));
