import { create, toJsonString } from "@bufbuild/protobuf";
import { MixinSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";

import { json } from "./json.ts";

const codec = json.codec(MixinSchema);

test("what is written in place is what is encoded, and nothing beside it", () => {
  const texts = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 50 }),
    fc.string({ minLength: 17_000, maxLength: 20_000 }),
  );
  fc.assert(
    fc.property(texts, fc.nat(20), (name, from) => {
      const message = create(MixinSchema, { name, root: "€" });
      const writer = codec.writer!(message)!;
      const bytes = new Uint8Array(from + writer.bytesMax + 5).fill(7);
      const end = writer.write(bytes, from);
      expect(Buffer.from(bytes.subarray(from, end)).toString()).toBe(toJsonString(MixinSchema, message));
      expect(Buffer.from(codec.encode(message)).equals(bytes.subarray(from, end))).toBe(true);
      expect(bytes.subarray(0, from).every((byte) => byte === 7)).toBe(true);
      expect(bytes.subarray(bytes.length - 5)).toEqual(new Uint8Array(5).fill(7));
    }),
    { numRuns: 50 },
  );
});
