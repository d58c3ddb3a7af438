import {
  clone,
  create,
  fromBinary,
  toBinary,
  type DescField,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import type { Codec, CodecFamily } from "./codec.ts";
import { flatDecoder } from "./flat-decoder.ts";
import { flatWriter, written } from "./flat-encoder.ts";

/** Protocol Buffers' binary format (https://protobuf.dev/programming-guides/encoding/). */
export const protobuf: CodecFamily = {
  name: "proto",
  codec: <Desc extends DescMessage>(schema: Desc): Codec<MessageShape<Desc>, MessageInitShape<Desc>> => {
    const writer = flatWriter(schema);
    const decodeFlat = flatDecoder(schema);
    const isFlat = sharesNothing(schema);
    return {
      create: (init) => create(schema, init),
      encode: (message) => {
        const flat = writer?.(message);
        return flat === undefined ? toBinary(schema, message) : written(flat);
      },
      ...(writer && { writer }),
      decode: (bytes) => {
        const flat = decodeFlat?.(bytes);
        if (flat !== undefined) return flat;
        // The library's views of the bytes: of fields of that type, and of fields that the type doesn't know.
        const message = fromBinary(schema, isFlat ? bytes : new Uint8Array(bytes));
        return isFlat && message.$unknown !== undefined ? fromBinary(schema, new Uint8Array(bytes)) : message;
      },
      copy: copier(schema),
    };
  },
};

/** Messages of values, and of such messages in turn, nearly all of a testbed's, are copied by spreads; the rest by reflection. */
export function copier<Desc extends DescMessage>(schema: Desc): (message: MessageShape<Desc>) => MessageShape<Desc> {
  const keepsPrototype = Object.getPrototypeOf(create(schema)) !== Object.prototype;
  const others = schema.fields.filter((field) => !isValue(field));
  const messages = others.filter(isPlainMessage);
  if (keepsPrototype || messages.length < others.length) return (message) => clone(schema, message);
  if (messages.length === 0) return (message) => ({ ...message });
  // Made with the first message: a type may have fields of its own type.
  let copiers: readonly (readonly [name: string, copy: (message: Message) => Message])[] | undefined;
  const made = () => messages.map((field) => [field.localName, copier(field.message)] as const);
  return (message) => {
    const copy: Record<string, unknown> = { ...message };
    for (const [name, copyOf] of (copiers ??= made())) {
      const value = copy[name];
      if (value !== undefined) copy[name] = copyOf(value as Message);
    }
    return copy as MessageShape<Desc>;
  };
}

/** Its fields are values that can't change. */
const sharesNothing = (schema: DescMessage): boolean => schema.fields.every(isValue);

const isValue = (field: DescField): boolean =>
  field.oneof === undefined &&
  (field.fieldKind === "enum" || (field.fieldKind === "scalar" && (field.scalar as number) !== bytesScalar));

/** One message, and none of those for which the library has other values than messages. */
const isPlainMessage = (field: DescField): field is DescField & { readonly fieldKind: "message" } =>
  field.fieldKind === "message" && field.oneof === undefined && !field.message.typeName.startsWith("google.protobuf.");

/** `ScalarType.BYTES` of the descriptor format. */
const bytesScalar = 12;
