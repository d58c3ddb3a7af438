import fc from "fast-check";
import { expect, test } from "vitest";

import { FrameReader } from "./connection.ts";
import { JuteError, JuteReader, JuteWriter } from "./jute.ts";
import { readConnectResponse, readEvent, readFailedChange, readReplyHeader, readStat } from "./protocol.ts";

test("what is written is read", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.boolean(),
      fc.uint8Array(),
      fc.array(fc.string({ unit: "grapheme" })),
      (int, long, bool, bytes, texts) => {
        const frame = new JuteWriter().int(int).long(long).bool(bool).buffer(bytes).texts(texts).frame();
        expect(frame.readInt32BE()).toBe(frame.length - 4);
        const reader = new JuteReader(frame.subarray(4));
        expect([reader.int(), reader.long(), reader.bool()]).toEqual([int, long, bool]);
        expect(Uint8Array.from(reader.buffer())).toEqual(bytes);
        expect(reader.texts()).toEqual(texts);
        expect(reader.left).toBe(0);
      },
    ),
  );
});

test("lengths that lie are refused, and nothing is allocated for them", () => {
  for (const length of [5, 0x7fffffff, -2, -0x80000000]) {
    const bytes = new JuteWriter().int(length).int(0).frame().subarray(4);
    expect(() => new JuteReader(bytes).buffer()).toThrow(JuteError);
    expect(() => new JuteReader(bytes).texts()).toThrow(JuteError);
  }
  expect(new JuteReader(new JuteWriter().int(-1).frame().subarray(4)).texts()).toEqual([]);
});

test("no bytes make a record's reader throw anything but a JuteError, or read for ever", () => {
  const readers = [readConnectResponse, readEvent, readReplyHeader, readStat, readFailedChange];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of readers) {
        try {
          read(new JuteReader(Buffer.from(bytes)));
        } catch (error) {
          expect(error).toBeInstanceOf(JuteError);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test("frames are cut out of chunks of any size", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 })),
      fc.array(fc.integer({ min: 1, max: 30 })),
      (contents, sizes) => {
        const all = Buffer.concat(contents.map((content) => new JuteWriter().buffer(content).frame().subarray(4)));
        const frames = new FrameReader();
        const seen: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < all.length; turn++) {
          const size = sizes.length === 0 ? 1 : sizes[turn % sizes.length]!;
          frames.push(all.subarray(at, at + size));
          at += size;
          for (let frame = frames.next(); frame !== undefined; frame = frames.next()) seen.push(Uint8Array.from(frame));
        }
        expect(seen).toEqual(contents);
      },
    ),
  );
});

test("a frame of an impossible length is refused before it has come", () => {
  for (const length of [-1, 16 * 1024 * 1024 + 1, 0x7fffffff]) {
    const frames = new FrameReader();
    frames.push(new JuteWriter().int(length).frame().subarray(4));
    expect(() => frames.next()).toThrow(RangeError);
  }
});
