import {
  clone,
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import type { Codec, CodecFamily } from "./codec.ts";
import { flatEncoder } from "./flat-encoder.ts";

/** Protocol Buffers' binary format (https://protobuf.dev/programming-guides/encoding/). */
export const protobuf: CodecFamily = {
  name: "proto",
  codec: <Desc extends DescMessage>(schema: Desc): Codec<MessageShape<Desc>, MessageInitShape<Desc>> => {
    const encodeFlat = flatEncoder(schema);
    return {
      create: (init) => create(schema, init),
      encode: (message) => encodeFlat?.(message) ?? toBinary(schema, message),
      decode: (bytes) => fromBinary(schema, bytes),
      copy: copier(schema),
    };
  },
};

/** Flat messages, nearly all of a testbed's, are copied by a spread; the rest by reflection. */
export function copier<Desc extends DescMessage>(schema: Desc): (message: MessageShape<Desc>) => MessageShape<Desc> {
  const isFlat = schema.fields.every(
    (field) => field.fieldKind === "enum" || (field.fieldKind === "scalar" && (field.scalar as number) !== bytesScalar),
  );
  const keepsPrototype = Object.getPrototypeOf(create(schema)) !== Object.prototype;
  if (isFlat && !keepsPrototype) return (message) => ({ ...message });
  return (message) => clone(schema, message);
}

/** `ScalarType.BYTES` of the descriptor format. */
const bytesScalar = 12;
