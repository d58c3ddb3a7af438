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

/** Flat messages, nearly all of a testbed's, are copied by a spread; the rest by reflection. */
export function copier<Desc extends DescMessage>(schema: Desc): (message: MessageShape<Desc>) => MessageShape<Desc> {
  const keepsPrototype = Object.getPrototypeOf(create(schema)) !== Object.prototype;
  if (sharesNothing(schema) && !keepsPrototype) return (message) => ({ ...message });
  return (message) => clone(schema, message);
}

/** Its fields are values that can't change. */
function sharesNothing(schema: DescMessage): boolean {
  return schema.fields.every(
    (field) => field.fieldKind === "enum" || (field.fieldKind === "scalar" && (field.scalar as number) !== bytesScalar),
  );
}

/** `ScalarType.BYTES` of the descriptor format. */
const bytesScalar = 12;
