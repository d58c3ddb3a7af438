import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/** Turns one type of message into bytes and back. The interface is described elsewhere: codecs are exchangeable. */
export interface Codec<T, Init = unknown> {
  /** The message's fields by their names in text, in the order of their numbers, where that is known. */
  readonly fields?: readonly string[] | undefined;
  /** A message from its fields, defaults filled in. */
  create(init: Init): T;
  encode(message: T): Uint8Array;
  /** Throws on malformed bytes. */
  decode(bytes: Uint8Array): T;
  /** A message that shares nothing mutable with the original: how messages cross a simulated network. */
  copy(message: T): T;
}

/** Makes codecs for message types. Built in: `protobuf`, `json`. */
export interface CodecFamily {
  /** gRPC's content-subtype: "proto", "json". */
  readonly name: string;
  readonly codec: <Desc extends DescMessage>(schema: Desc) => Codec<MessageShape<Desc>, MessageInitShape<Desc>>;
}
