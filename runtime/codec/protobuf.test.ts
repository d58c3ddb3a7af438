import { create, equals, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AnySchema,
  BytesValueSchema,
  MixinSchema,
  StringValueSchema,
  StructSchema,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";

import { BeginReplySchema } from "../transactions/proto/coordinator_pb.ts";
import { protobuf } from "./protobuf.ts";

function survives<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): void {
  const { decode, encode } = protobuf.codec(schema);
  const lent = Uint8Array.from(bytes);
  const message = decode(lent);
  lent.fill(0);
  expect(Buffer.from(encode(message)).toString("hex"), schema.typeName).toBe(Buffer.from(bytes).toString("hex"));
}

const of = <Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array =>
  toBinary(schema, create(schema, init));

test("a decoded message shares nothing with its bytes", () => {
  survives(MixinSchema, of(MixinSchema, { name: "one", root: "two" }));
  survives(BytesValueSchema, of(BytesValueSchema, { value: Uint8Array.of(1, 2, 3) }));
  const any = { typeUrl: "type.googleapis.com/x", value: Uint8Array.of(4, 5) };
  survives(AnySchema, of(AnySchema, any));
  survives(StructSchema, of(StructSchema, { fields: { a: { kind: { case: "stringValue", value: "b" } } } }));
});

test("nor do fields that its type doesn't know, wherever they are", () => {
  const unknown = [0x7a, 3, 0x61, 0x62, 0x63];
  survives(StringValueSchema, Uint8Array.of(0x0a, 1, 0x78, ...unknown));
  // A map's entry, whose value has a field that it doesn't know.
  survives(StructSchema, Uint8Array.of(0x0a, 10, 0x0a, 1, 0x61, 0x12, 5, ...unknown));
});

test("a copy is equal, and shares none of its fields that can change", () => {
  const copyOf = <Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): void => {
    const message = create(schema, init);
    const copy = protobuf.codec(schema).copy(message);
    expect(equals(schema, copy, message), schema.typeName).toBe(true);
    const shared = (one: unknown, other: unknown): boolean =>
      typeof one === "object" &&
      one !== null &&
      (one === other ||
        Object.entries(one).some(([name, value]) => shared(value, (other as typeof one)[name as never])));
    expect(shared(copy, message), schema.typeName).toBe(false);
  };
  copyOf(MixinSchema, { name: "one", root: "two" });
  copyOf(BeginReplySchema, { xid: "tc:8091:1" });
  copyOf(BeginReplySchema, { refusal: { code: "BeginFailed", message: "full" } });
  copyOf(BytesValueSchema, { value: Uint8Array.of(1, 2, 3) });
  copyOf(StructSchema, { fields: { a: { kind: { case: "stringValue", value: "b" } } } });
  copyOf(ValueSchema, { kind: { case: "numberValue", value: 1 } });
});
