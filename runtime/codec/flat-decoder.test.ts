import { create, fromBinary, toBinary, type DescMessage } from "@bufbuild/protobuf";
import { BytesValueSchema, FieldMaskSchema, MixinSchema, StringValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";

import { HealthCheckResponseSchema } from "../health/proto/health_pb.ts";
import { flatDecoder } from "./flat-decoder.ts";

/** As the library reads it; undefined where it refuses. */
function asTheLibrary(schema: DescMessage, bytes: Uint8Array): unknown {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.nat(300).map((length) => "x".repeat(length)),
);

test("a message of plain fields is read at once, as by the library", () => {
  fc.assert(
    fc.property(text, text, fc.integer({ min: 0, max: 2 ** 31 - 1 }), (name, root, status) => {
      for (const [schema, init] of [
        [MixinSchema, { name, root }],
        [HealthCheckResponseSchema, { status }],
      ] as const) {
        const bytes = toBinary(schema as DescMessage, create(schema as DescMessage, init));
        const read = flatDecoder(schema as DescMessage)!(bytes);
        expect(read).toEqual(fromBinary(schema, bytes));
        expect(Object.keys(read!)).toEqual(Object.keys(fromBinary(schema, bytes)));
      }
    }),
    { numRuns: 200 },
  );
});

test("whatever the bytes are, what is read is what the library reads", () => {
  const field = fc.oneof(
    // Tags of fields that are there and that aren't, of each wire type, in one byte and in two.
    fc.tuple(fc.constantFrom(0x0a, 0x12, 0x08, 0x10, 0x0d, 0x09, 0x1a, 0x0b), fc.uint8Array({ maxLength: 12 })),
    fc.tuple(fc.constantFrom(0x8a, 0x92, 0x88), fc.constant(Uint8Array.of(0, 1, 0x61))),
    fc.tuple(
      fc.constantFrom(0x0a, 0x12),
      text.map((value) => toBinary(StringValueSchema, create(StringValueSchema, { value })).subarray(1)),
    ),
    fc.tuple(
      fc.constant(0x08),
      fc
        .constantFrom([0xff, 0xff, 0xff, 0xff, 0x0f], [0xff, 0xff, 0xff, 0xff, 0x1f], [0x80, 0], [5])
        .map((all) => Uint8Array.from(all)),
    ),
  );
  const bytes = fc
    .array(field, { maxLength: 6 })
    .map((parts) => Uint8Array.from(parts.flatMap(([tag, rest]) => [tag, ...rest])));
  fc.assert(
    fc.property(fc.oneof(bytes, fc.uint8Array({ maxLength: 40 })), (sent) => {
      for (const schema of [MixinSchema, HealthCheckResponseSchema]) {
        const read = flatDecoder(schema as DescMessage)!(sent);
        if (read !== undefined) expect(read).toEqual(asTheLibrary(schema, sent));
      }
    }),
    { numRuns: 2000 },
  );
});

test("what is read shares nothing with the bytes", () => {
  const bytes = toBinary(StringValueSchema, create(StringValueSchema, { value: "x".repeat(100) }));
  const read = flatDecoder(StringValueSchema)!(bytes)!;
  bytes.fill(0);
  expect(read.value).toBe("x".repeat(100));
});

test("unknown fields, broken texts and what is cut off are left to the library, and so are types with bytes, lists and choices", () => {
  const decode = flatDecoder(StringValueSchema)!;
  for (const bytes of [
    [0x12, 0],
    [0x0a, 1, 0xff],
    [0x0a, 2, 0x61],
    [0x0a],
    [0x8a],
    [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
  ]) {
    expect(decode(Uint8Array.from(bytes))).toBeUndefined();
  }
  expect(decode(Uint8Array.of())).toEqual(create(StringValueSchema));
  for (const schema of [BytesValueSchema, FieldMaskSchema]) expect(flatDecoder(schema as DescMessage)).toBeUndefined();
});
