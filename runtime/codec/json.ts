import {
  create,
  fromJsonString,
  toJsonString,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import type { Codec, CodecFamily } from "./codec.ts";
import { copier } from "./protobuf.ts";

/** ProtoJSON (https://protobuf.dev/programming-guides/json/): the same messages, readable on the wire. */
export const json: CodecFamily = {
  name: "json",
  codec: <Desc extends DescMessage>(schema: Desc): Codec<MessageShape<Desc>, MessageInitShape<Desc>> => ({
    fields: schema.fields.toSorted((a, b) => a.number - b.number).map(({ jsonName }) => jsonName),
    create: (init) => create(schema, init),
    encode: (message) => new TextEncoder().encode(toJsonString(schema, message)),
    decode: (bytes) => fromJsonString(schema, new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
    copy: copier(schema),
  }),
};
