import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  type UnknownEnum,
} from "@bufbuild/protobuf";
import {
  BoolValueSchema,
  BytesValueSchema,
  DurationSchema,
  FieldMaskSchema,
  Int32ValueSchema,
  MixinSchema,
  StringValueSchema,
  UInt32ValueSchema,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";

import { HealthCheckResponseSchema } from "../health/proto/health_pb.ts";
import { flatWriter, written } from "./flat-encoder.ts";

function flatEncoder<Desc extends DescMessage>(schema: Desc) {
  const writer = flatWriter(schema);
  if (writer === undefined) return undefined;
  return (message: MessageShape<Desc>): Uint8Array | undefined => {
    const flat = writer(message);
    return flat && written(flat);
  };
}

/** Whole characters of all lengths in UTF-8, some of them too long for the loop. */
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 200 }),
  fc.nat(10_000).map((length) => "x".repeat(length)),
);

function same<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): void {
  const message = create(schema, init);
  const encoded = Buffer.from(flatEncoder(schema)!(message)!);
  expect(encoded.equals(toBinary(schema, message)), `${schema.typeName} ${encoded.toString("hex", 0, 100)}`).toBe(true);
}

test("a message of plain fields becomes the same bytes as by the library", () => {
  fc.assert(
    fc.property(text, text, (name, root) => {
      same(MixinSchema, { name, root });
      same(StringValueSchema, { value: root });
    }),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      fc.boolean(),
      fc.uint8Array(),
      (int, bool, bytes) => {
        same(Int32ValueSchema, { value: int });
        same(HealthCheckResponseSchema, { status: int as UnknownEnum });
        same(UInt32ValueSchema, { value: int >>> 0 });
        same(BoolValueSchema, { value: bool });
        same(BytesValueSchema, { value: bytes });
      },
    ),
  );
});

test("a text at each edge of its length's length becomes the same bytes", () => {
  for (const length of [0, 1, 47, 48, 49, 127, 128, 16_383, 16_384]) {
    for (const unit of ["x", "é", "€"]) same(StringValueSchema, { value: unit.repeat(length) });
  }
});

test("a message is written where its bytes are to go, and touches nothing beyond what it said that it may take", () => {
  fc.assert(
    fc.property(text, fc.nat(50), (value, from) => {
      const message = create(StringValueSchema, { value });
      const flat = flatWriter(StringValueSchema)!(message)!;
      const bytes = new Uint8Array(from + flat.bytesMax + 20).fill(0xee);
      const end = flat.write(bytes, from);
      expect(Buffer.from(bytes.subarray(from, end)).equals(toBinary(StringValueSchema, message))).toBe(true);
      expect(end - from).toBeLessThanOrEqual(flat.bytesMax);
      const around = [...bytes.subarray(0, from), ...bytes.subarray(from + flat.bytesMax)];
      expect(new Set(around)).toEqual(new Set([0xee]));
    }),
    { numRuns: 100 },
  );
});

test("what was encoded before stays as it was", () => {
  const encode = flatEncoder(StringValueSchema)!;
  const texts = Array.from({ length: 5000 }, (_, at) => `${at}`.repeat(1 + (at % 40)));
  const encoded = texts.map((value) => encode(create(StringValueSchema, { value }))!);
  expect(encoded.map((bytes) => fromBinary(StringValueSchema, bytes).value)).toEqual(texts);
});

test("a large message is left to the library, which takes no more than it needs", () => {
  const message = create(StringValueSchema, { value: "x".repeat(100_000) });
  expect(flatEncoder(StringValueSchema)!(message)).toBeUndefined();
});

test("a type with a list, a message, a oneof or a long integer is left to the library", () => {
  for (const schema of [FieldMaskSchema, ValueSchema, DurationSchema]) expect(flatEncoder(schema)).toBeUndefined();
});

test("a value that isn't of its field's type, a broken text, another message and unknown fields are left to the library", () => {
  const encodes = (schema: DescMessage, message: object): boolean =>
    flatEncoder(schema)!(message as never) !== undefined;
  const typed = { int32: create(Int32ValueSchema), uint32: create(UInt32ValueSchema), text: create(StringValueSchema) };
  expect(encodes(Int32ValueSchema, { ...typed.int32, value: -1 })).toBe(true);
  for (const value of [2 ** 31, 0.5, Number.NaN, "1"]) {
    expect(encodes(Int32ValueSchema, { ...typed.int32, value })).toBe(false);
  }
  for (const value of [-1, 2 ** 32, null]) expect(encodes(UInt32ValueSchema, { ...typed.uint32, value })).toBe(false);
  for (const value of [1, null, "\ud800", "x".repeat(100) + "\udc00"]) {
    expect(encodes(StringValueSchema, { ...typed.text, value })).toBe(false);
  }
  expect(encodes(BoolValueSchema, { ...create(BoolValueSchema), value: 1 })).toBe(false);
  expect(encodes(BytesValueSchema, { ...create(BytesValueSchema), value: [1] })).toBe(false);
  expect(encodes(MixinSchema, typed.text)).toBe(false);
  expect(encodes(StringValueSchema, fromBinary(StringValueSchema, Uint8Array.of(0x60, 1)))).toBe(false);
});
