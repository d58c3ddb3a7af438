import fc from "fast-check";
import { expect, test } from "vitest";

import { decodePayload, encodePayload } from "./payload.ts";

test("a payload comes back as it was", () => {
  const body = fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: "binary" }), fc.integer(), fc.boolean()));
  fc.assert(
    fc.property(fc.string(), body, (type, content) => {
      const decoded = decodePayload(encodePayload({ type, body: content }));
      expect(decoded.type).toBe(type);
      expect(JSON.stringify(decoded.body)).toBe(JSON.stringify(content));
    }),
  );
});

test("one that a real server (2.2.4) sent is read", () => {
  const body = '{"resultCode":200,"errorCode":0,"connectionId":"1795839590963_172.17.0.1_48350","success":true}';
  const metadata = `1a13${Buffer.from("ServerCheckResponse").toString("hex")}`;
  const any = `12${Buffer.byteLength(body).toString(16)}${Buffer.from(body).toString("hex")}`;
  const hex = `12${(metadata.length / 2).toString(16).padStart(2, "0")}${metadata}1a${(any.length / 2).toString(16)}${any}`;
  expect(decodePayload(Buffer.from(hex, "hex"))).toEqual({
    type: "ServerCheckResponse",
    body: JSON.parse(body) as unknown,
  });
});

test("garbage is refused with an error, whatever it is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        expect(typeof decodePayload(bytes).body).toBe("object");
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
  );
});
