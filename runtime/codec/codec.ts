import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/** Turns one type of message into bytes and back. The interface is described elsewhere: codecs are exchangeable. */
export interface Codec<T, Init = unknown> {
  /** The message's fields by their names in text, in the order of their numbers, where that is known. */
  readonly fields?: readonly string[] | undefined;
  /** A message from its fields, defaults filled in. */
  create(init: Init): T;
  encode(message: T): Uint8Array;
  /** The same bytes, written where they are to go; absent, or undefined, where only `encode` makes them. */
  writer?(message: T): MessageWriter | undefined;
  /** Throws on malformed bytes. The message shares nothing with them: they may be used again. */
  decode(bytes: Uint8Array): T;
  /** A message that shares nothing mutable with the original: how messages cross a simulated network. */
  copy(message: T): T;
}

/** A message on its way into bytes. It is written at once, or its owner may change it before. */
export interface MessageWriter {
  /** It takes so many at most. */
  readonly bytesMax: number;
  /** Writes it from there on, where there is room for `bytesMax`; answers where it ended. */
  write(bytes: Uint8Array, from: number): number;
}

/** Makes codecs for message types. Built in: `protobuf`, `json`. */
export interface CodecFamily {
  /** gRPC's content-subtype: "proto", "json". */
  readonly name: string;
  readonly codec: <Desc extends DescMessage>(schema: Desc) => Codec<MessageShape<Desc>, MessageInitShape<Desc>>;
}
