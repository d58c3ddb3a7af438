import fc from "fast-check";
import { expect, test } from "vitest";

import { fromBase64, toBase64 } from "./base64.ts";

test("it writes what everybody writes, and reads it again", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
      expect(fromBase64(toBase64(bytes))).toEqual(bytes);
    }),
  );
});

test("what is no base64 is refused", () => {
  for (const text of ["a", "a=b=", "####", "ab-_", "=abc"]) expect(() => fromBase64(text)).toThrow();
});
