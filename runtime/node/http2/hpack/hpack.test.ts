import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ConnectionError, errorCodes } from "../errors.ts";
import { HpackDecoder } from "./decoder.ts";
import { encodeFields, listBytes, noTable } from "./encoder.ts";

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");
const fields = (...pairs: readonly (readonly [string, string])[]): string[] => pairs.flat();
const decoder = (tableBytesMax?: number): HpackDecoder =>
  new HpackDecoder({ listBytesMax: 65_536, ...(tableBytesMax !== undefined && { tableBytesMax }) });

const example = [":authority", "www.example.com"] as const;
const get = [[":method", "GET"], [":scheme", "http"], [":path", "/"]] as const; // prettier-ignore
const noCache = ["cache-control", "no-cache"] as const;
const custom = ["custom-key", "custom-value"] as const;
const status = (code: string) => [":status", code] as const;
const isPrivate = ["cache-control", "private"] as const;
const date = (second: number) => ["date", `Mon, 21 Oct 2013 20:13:${second} GMT`] as const;
const location = ["location", "https://www.example.com"] as const;
const gzip = ["content-encoding", "gzip"] as const;
const cookie = ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"] as const;

type Pair = readonly [string, string];
type Vector = readonly [block: string, list: readonly Pair[], table: readonly Pair[], tableBytes: number];

const requests: readonly (readonly [readonly Pair[], readonly Pair[], number])[] = [
  [[...get, example], [example], 57],
  [[...get, example, noCache], [noCache, example], 110],
  [
    [[":method", "GET"], [":scheme", "https"], [":path", "/index.html"], example, custom],
    [custom, noCache, example],
    164,
  ],
]; // prettier-ignore
const responses: readonly (readonly [readonly Pair[], readonly Pair[], number])[] = [
  [[status("302"), isPrivate, date(21), location], [location, date(21), isPrivate, status("302")], 222],
  [[status("307"), isPrivate, date(21), location], [status("307"), location, date(21), isPrivate], 222],
  [[status("200"), isPrivate, date(22), location, gzip, cookie], [cookie, gzip, date(22)], 215],
];
const vectors = (wanted: typeof requests, ...blocks: string[]): Vector[] =>
  blocks.map((block, at) => [block, ...wanted[at]!] as const);

describe("RFC 7541 appendix C", () => {
  test.each<[string, string, Pair, number]>([
    ["C.2.1 literal with indexing", "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ["custom-key", "custom-header"], 55], // prettier-ignore
    ["C.2.2 literal without indexing", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"], 0],
    ["C.2.3 literal never indexed", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"], 0],
    ["C.2.4 indexed", "82", [":method", "GET"], 0],
  ])("%s", (_, block, pair, tableBytes) => {
    const one = decoder();
    expect(one.decode(hex(block)).list).toEqual(pair);
    expect(one.tableBytes).toBe(tableBytes);
  });

  test.each<[string, number, Vector[]]>([
    [
      "C.3 requests without Huffman coding",
      4096,
      vectors(
        requests,
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ),
    ],
    [
      "C.4 requests with Huffman coding",
      4096,
      vectors(
        requests,
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ),
    ],
    [
      "C.5 responses without Huffman coding",
      256,
      vectors(
        responses,
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        "4803 3330 37c1 c0bf",
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31`,
      ),
    ],
    [
      "C.6 responses with Huffman coding",
      256,
      vectors(
        responses,
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
         8f0b 97c8 e9ae 82ae 43d3`,
        "4883 640e ffc1 c0bf",
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
      ),
    ],
  ])("%s", (_, tableBytesMax, series) => {
    const one = decoder(tableBytesMax);
    for (const [block, list, table, tableBytes] of series) {
      expect(one.decode(hex(block)).list).toEqual(list.flat());
      expect(one.table).toEqual(table);
      expect(one.tableBytes).toBe(tableBytes);
    }
  });
});

const error = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (thrown) {
    return thrown;
  }
};

describe("what is no field block is a COMPRESSION_ERROR", () => {
  test.each<[string, string]>([
    ["2.3.3 an index beyond both tables", "be"],
    ["2.3.3 a name's index beyond both tables", "7f 00 01 61"],
    ["4.2 a table resized after a field", "82 20"],
    ["4.2 a table larger than allowed", "3f e2 1f"],
    ["5.1 an integer that ends too soon", "ff"],
    ["5.1 an integer that goes on for ever", "ff ff ff ff ff ff ff ff ff 7f"],
    ["5.2 a text that is longer than its block", "00 01 61 7f 00"],
    ["5.2 a text that isn't there", "00 01 61"],
    ["5.2 Huffman padding of a whole byte", "00 01 61 82 1f ff"],
    ["5.2 Huffman padding that isn't ones", "00 01 61 81 18"],
    ["5.2 Huffman with the end of string in it", "00 01 61 84 ff ff ff ff"],
    ["6.1 index 0", "80"],
  ])("%s", (_, block) => {
    expect(error(() => decoder().decode(hex(block)))).toMatchObject({
      name: "ConnectionError",
      code: errorCodes.compressionError,
    });
  });
});

test("4.3 a smaller table loses its oldest entries, and 4.4 an entry larger than the table all of them", () => {
  const one = decoder(256);
  one.decode(hex("400161 0131 400162 0132"));
  expect(one.table).toEqual([["b", "2"], ["a", "1"]]); // prettier-ignore
  one.decode(hex("3f 15"));
  expect(one.table).toEqual([["b", "2"]]);
  one.decode(Buffer.concat([hex("40 01 63 7f 81 01"), Buffer.alloc(256, "x")]));
  expect(one.table).toEqual([]);
});

test("a block that comes again is the same list, until the table changes under it", () => {
  const one = decoder();
  one.decode(hex("400161 0131"));
  const first = one.decode(hex("be"));
  expect(one.decode(hex("be"))).toBe(first);
  one.decode(hex("400162 0132"));
  expect(one.decode(hex("be")).list).toEqual(["b", "2"]);
});

test("a block that is much smaller than its list isn't kept for the next time", () => {
  const one = decoder();
  one.decode(Buffer.concat([hex("400161 64"), Buffer.alloc(100, "x")]));
  const [few, many] = [Buffer.alloc(60, 0xbe), Buffer.alloc(62, 0xbe)];
  expect(one.decode(few)).toBe(one.decode(few));
  expect(one.decode(many)).not.toBe(one.decode(many));
  expect(one.decode(many).list).toHaveLength(2 * 62);
});

test("10.5.1 a list over the limit says so, and the table is what it would be", () => {
  const one = new HpackDecoder({ listBytesMax: 100 });
  const large = one.decode(Buffer.concat([hex("400161 7f 4f"), Buffer.alloc(206, "x"), hex("400162 0132 82")]));
  expect(large.isTooLarge).toBe(true);
  expect(large.list).toEqual([]);
  expect(one.table.map(([name]) => name)).toEqual(["b", "a"]);
  expect(one.decode(hex("82")).isTooLarge).toBe(false);
});

test("a bomb, one byte for 4 KiB each, costs no more than its bytes", () => {
  const one = decoder();
  one.decode(Buffer.concat([hex("400161 7f 8f 1e"), Buffer.alloc(3982, "x")]));
  expect(one.table.length).toBe(1);
  const bomb = one.decode(Buffer.alloc(60_000, 0xbe));
  expect(bomb.isTooLarge).toBe(true);
  expect(bomb.list.length).toBeLessThanOrEqual(2 * 16);
});

const names = fc.oneof(
  fc.constantFrom(":path", ":status", "content-type", "te", "grpc-timeout", "x-a"),
  fc.string({ minLength: 1, maxLength: 200, unit: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz-_.0123456789") }),
);
const values = fc.oneof(
  fc.constantFrom("200", "trailers", "/", ""),
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);
const lists = fc.array(fc.tuple(names, values), { maxLength: 20 }).map((pairs) => fields(...pairs));

test("whatever is encoded is decoded, on any connection and in any order, with nothing remembered", () => {
  fc.assert(
    fc.property(fc.array(lists, { minLength: 1, maxLength: 5 }), (all) => {
      const one = decoder();
      expect(one.decode(noTable).list).toEqual([]);
      for (const list of all) {
        const block = encodeFields(list).bytes;
        expect(block.length).toBeLessThanOrEqual(listBytes(list));
        expect(one.decode(block).list).toEqual(list);
        expect(new HpackDecoder({ listBytesMax: listBytes(list) }).decode(block).isTooLarge).toBe(false);
        if (list.length > 0) {
          expect(new HpackDecoder({ listBytesMax: listBytes(list) - 1 }).decode(block).isTooLarge).toBe(true);
        }
      }
      expect(one.tableBytes).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test("any bytes are a list or a COMPRESSION_ERROR, and the table stays within its bounds", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 4 }), (blocks) => {
      const one = decoder(200);
      for (const block of blocks) {
        const thrown = error(() => one.decode(Buffer.from(block)));
        if (thrown instanceof Error) {
          expect(thrown).toBeInstanceOf(ConnectionError);
          return;
        }
        expect(one.tableBytes).toBeLessThanOrEqual(200);
      }
    }),
    { numRuns: 300 },
  );
});

/** An encoder as peers have them: each field as a literal, as one to be remembered, or as an entry of the table. */
class TableEncoder {
  readonly #table: (readonly [string, string])[] = [];
  #bytes = 0;

  field(name: string, value: string, way: number): Buffer {
    const index = this.#table.findIndex(([known, with_]) => known === name && with_ === value);
    if (way === 0 && index >= 0) return Buffer.from([0x80 | (62 + index)]);
    const texts = [name, value].flatMap((text) => [Buffer.from([text.length]), Buffer.from(text, "latin1")]);
    if (way !== 1) return Buffer.concat([Buffer.from([0]), ...texts]);
    this.#table.unshift([name, value]);
    this.#bytes += name.length + value.length + 32;
    while (this.#bytes > 2000) {
      const [oldName, oldValue] = this.#table.pop()!;
      this.#bytes -= oldName.length + oldValue.length + 32;
    }
    return Buffer.concat([Buffer.from([0x40]), ...texts]);
  }
}

test("blocks that begin like others are what they say, whatever becomes of the table between them", () => {
  const field = fc.tuple(
    fc.constantFrom("a", "b", "c", "d", "e"),
    fc.constantFrom("1", "2", " bad", "x".repeat(90)),
    fc.nat({ max: 3 }),
  );
  // Drawn from a few beginnings, so that they are often like each other.
  const beginnings = fc.array(fc.array(field, { maxLength: 8 }), { minLength: 1, maxLength: 3 });
  const blocks = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 8 }), fc.array(field, { maxLength: 3 })), { maxLength: 40 });
  fc.assert(
    fc.property(beginnings, blocks, (some, all) => {
      const one = new HpackDecoder({ listBytesMax: 600, tableBytesMax: 2000 });
      const encoder = new TableEncoder();
      expect(one.decode(Buffer.from([0x3f, 0xb1, 0x0f])).list).toEqual([]);
      for (const [which, length, rest] of all) {
        const wanted = [...some[which % some.length]!.slice(0, length), ...rest];
        const block = Buffer.concat(wanted.map(([name, value, way]) => encoder.field(name, value, way)));
        const list: string[] = [];
        let left = 600;
        for (const [name, value] of wanted) if ((left -= name.length + value.length + 32) >= 0) list.push(name, value);
        // What is decoded doesn't refer to the bytes.
        const fields = one.decode(block);
        block.fill(0xff);
        expect([fields.list, fields.isTooLarge]).toEqual([list, left < 0]);
        if (fields.isWellFormed) expect(list.some((text) => text.startsWith(" "))).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
});

test("of a request that differs from the one before only in its deadline, one field is decoded", () => {
  const one = decoder();
  const block = (timeout: string): Buffer =>
    encodeFields([":method", "POST", ":path", "/a.B/C", "x-tenant", "acme", "grpc-timeout", timeout]).bytes;
  const first = one.decode(block("999u"));
  const second = one.decode(block("998u"));
  expect(second.list).toEqual([...first.list.slice(0, -1), "998u"]);
  expect(one.decode(block("998u"))).toBe(second);
  expect(one.decode(block("999u")).list).toEqual(first.list);
});
