import fc from "fast-check";
import { expect, test } from "vitest";

import type { Metadata } from "../../call/metadata.ts";
import { parseTimeout, toFields } from "../grpc/fields.ts";
import { HpackDecoder } from "../http2/hpack/decoder.ts";
import { encodeFields, listBytes } from "../http2/hpack/encoder.ts";
import type { OutgoingFields } from "../http2/stream.ts";
import { RequestFields } from "./request-fields.ts";

const base = [":path", "/a.B/C", "te", "trailers"];

/** What a server reads. */
function read({ block, list }: OutgoingFields): readonly string[] {
  const bytes = Buffer.concat([block.bytes, encodeFields(list).bytes]);
  return new HpackDecoder({ listBytesMax: 64 * 1024 }).decode(bytes).list;
}

function fieldsOf(fields: RequestFields, metadata: Metadata, leftUs: number): OutgoingFields {
  return fields.of(fields.custom(metadata), leftUs);
}

test("a server reads the method's fields, the call's own and its deadline, whatever calls came before", () => {
  const metadata = fc.dictionary(
    fc.constantFrom("dubbo.tag", "x-a", "x-b", "x-c-bin"),
    fc.constantFrom("", "AAE=", "gray"),
  );
  // Few of each, so that some come again.
  const call = fc.record({ metadata, leftUs: fc.constantFrom(50, 99_999, 100_500, 100_900, 9_999_900, Infinity) });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 12 }), (calls) => {
      const fields = new RequestFields(encodeFields(base));
      for (const { metadata, leftUs } of calls) {
        const own = new Map(Object.entries(metadata));
        for (let times = 0; times < 3; times++) {
          const sent = fieldsOf(fields, own, leftUs);
          const got = read(sent);
          expect(sent.block.listBytes + listBytes(sent.list)).toBe(listBytes(got));
          const timeout = leftUs === Infinity ? [] : got.slice(-2);
          expect(got.slice(0, got.length - timeout.length)).toEqual([...base, ...toFields(own)]);
          if (leftUs === Infinity) continue;
          expect(timeout[0]).toBe("grpc-timeout");
          expect(parseTimeout(timeout[1]!)).toBeLessThanOrEqual(leftUs);
        }
      }
    }),
  );
});

test("what is said again is encoded once", () => {
  const fields = new RequestFields(encodeFields(base));
  const sent = [10_000_000, 9_999_990, 9_999_400, 9_999_100].map((leftUs) =>
    fieldsOf(fields, new Map([["dubbo.tag", "gray"]]), leftUs - 1),
  );
  expect(sent[0]!.list).not.toEqual([]);
  expect(sent[1]!.list).toEqual([]);
  for (const later of sent.slice(2)) expect(later).toBe(sent[1]);
});

test("a map that has changed says what it says now", () => {
  const fields = new RequestFields(encodeFields(base));
  const own = new Map([["x-a", "before"]]);
  for (let times = 0; times < 3; times++) fieldsOf(fields, own, Infinity);
  own.set("x-a", "after");
  expect(read(fieldsOf(fields, own, Infinity)).slice(-2)).toEqual(["x-a", "after"]);
});

test("metadata that can't be carried is refused each time, and the next call's is sent", () => {
  const fields = new RequestFields(encodeFields(base));
  const broken = new Map([["x-a", "a\nb"]]);
  for (let times = 0; times < 3; times++) expect(() => fields.custom(broken)).toThrow("can't be sent");
  expect(read(fieldsOf(fields, new Map([["x-a", "b"]]), Infinity)).slice(-2)).toEqual(["x-a", "b"]);
});
