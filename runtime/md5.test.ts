import { createHash } from "node:crypto";

import fc from "fast-check";
import { expect, test } from "vitest";

import { md5 } from "./md5.ts";

const hex = (text: string): string => {
  const bytes = Buffer.alloc(16);
  for (const [index, word] of md5(text).entries()) bytes.writeUInt32LE(word, 4 * index);
  return bytes.toString("hex");
};

test("is RFC 1321's, for every text", () => {
  expect(hex("")).toBe("d41d8cd98f00b204e9800998ecf8427e");
  expect(hex("message digest")).toBe("f96b697d7cb7938d525a2f31aaf161d0");
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      expect(hex(text)).toBe(createHash("md5").update(text, "utf8").digest("hex"));
    }),
  );
});
