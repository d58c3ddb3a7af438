import {
  create,
  fromJsonString,
  toJsonString,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import type { Codec, CodecFamily, MessageWriter } from "./codec.ts";
import { copier } from "./protobuf.ts";

/** UTF-8 takes at most so many bytes for a unit of UTF-16. */
const unitBytesMax = 3;
/** A larger text would take up to three times its room. */
const placedCharactersMax = 16 * 1024;
const encoder = new TextEncoder();

/** ProtoJSON (https://protobuf.dev/programming-guides/json/): the same messages, readable on the wire. */
export const json: CodecFamily = {
  name: "json",
  codec: <Desc extends DescMessage>(schema: Desc): Codec<MessageShape<Desc>, MessageInitShape<Desc>> => ({
    fields: schema.fields.toSorted((a, b) => a.number - b.number).map(({ jsonName }) => jsonName),
    create: (init) => create(schema, init),
    encode: (message) => encoder.encode(toJsonString(schema, message)),
    writer: (message) => {
      const text = toJsonString(schema, message);
      return text.length > placedCharactersMax ? new BytesWriter(encoder.encode(text)) : new TextWriter(text);
    },
    decode: (bytes) => fromJsonString(schema, new TextDecoder("utf-8", { fatal: true }).decode(bytes)),
    copy: copier(schema),
  }),
};

class TextWriter implements MessageWriter {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get bytesMax(): number {
    return unitBytesMax * this.#text.length;
  }

  write(bytes: Uint8Array, from: number): number {
    return from + encoder.encodeInto(this.#text, bytes.subarray(from)).written;
  }
}

class BytesWriter implements MessageWriter {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get bytesMax(): number {
    return this.#bytes.length;
  }

  write(bytes: Uint8Array, from: number): number {
    bytes.set(this.#bytes, from);
    return from + this.#bytes.length;
  }
}
