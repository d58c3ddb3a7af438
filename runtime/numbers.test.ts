import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { exp, ln, mix, murmur3, pow } from "./numbers.ts";

/** How many doubles apart two numbers are. */
function ulps(a: number, b: number): number {
  if (Object.is(a, b)) return 0;
  const bits = new BigInt64Array(new Float64Array([a, b]).buffer);
  const ordered = (value: bigint): bigint => (value < 0n ? -(value & 0x7fffffffffffffffn) : value);
  const distance = ordered(bits[0]!) - ordered(bits[1]!);
  return Number(distance < 0n ? -distance : distance);
}

/** Both err by less than one. */
const ulpsMax = 2;

const bitsOf = (value: number): string =>
  new BigUint64Array(new Float64Array([value]).buffer)[0]!.toString(16).padStart(16, "0");

const positive = fc.double({ min: 5e-324, noNaN: true, noDefaultInfinity: true });

describe("ln", () => {
  test("is as good as the engine's own", () => {
    fc.assert(
      fc.property(positive, (x) => {
        expect(ulps(ln(x), Math.log(x))).toBeLessThanOrEqual(ulpsMax);
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 2, noNaN: true }), (x) => {
        expect(ulps(ln(x), Math.log(x))).toBeLessThanOrEqual(ulpsMax);
      }),
      { numRuns: 3000 },
    );
  });

  test("has the values at the edges", () => {
    expect(ln(1)).toBe(0);
    expect(ln(0)).toBe(-Infinity);
    expect(ln(-0)).toBe(-Infinity);
    expect(ln(-1)).toBeNaN();
    expect(ln(NaN)).toBeNaN();
    expect(ln(Infinity)).toBe(Infinity);
    expect(ulps(ln(5e-324), Math.log(5e-324))).toBeLessThanOrEqual(ulpsMax);
  });
});

describe("exp", () => {
  test("is as good as the engine's own", () => {
    for (const [min, max] of [
      [-700, 709],
      [-1, 1],
      [-1e-8, 1e-8],
    ] as const) {
      fc.assert(
        fc.property(fc.double({ min, max, noNaN: true }), (x) => {
          expect(ulps(exp(x), Math.exp(x))).toBeLessThanOrEqual(ulpsMax);
        }),
        { numRuns: 2000 },
      );
    }
  });

  test("has the values at the edges, subnormal ones included", () => {
    expect(exp(0)).toBe(1);
    expect(exp(-Infinity)).toBe(0);
    expect(exp(Infinity)).toBe(Infinity);
    expect(exp(NaN)).toBeNaN();
    expect(exp(710)).toBe(Infinity);
    expect(exp(-746)).toBe(0);
    expect(exp(709.78)).toBeLessThan(Infinity);
    for (const x of [-710, -720, -740, -745]) expect(ulps(exp(x), Math.exp(x))).toBeLessThanOrEqual(ulpsMax);
  });
});

describe("pow", () => {
  test("has a relative error of about |y ln x| ulps", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        fc.double({ min: -20, max: 20, noNaN: true }),
        (x, y) => {
          const bound = 3 + 3 * Math.abs(y * Math.log(x));
          expect(ulps(pow(x, y), Math.pow(x, y))).toBeLessThanOrEqual(bound);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("has the values at the edges", () => {
    expect([pow(0, 0), pow(5, 0), pow(0, 2), pow(0, -1), pow(1, 99)]).toEqual([1, 1, 0, Infinity, 1]);
  });
});

test("the bits are the same in every engine: these are pinned", () => {
  const values = [ln(3), ln(0.1), ln(1e-310), exp(1), exp(-3.7), exp(-742.5), pow(2, 0.5), pow(0.37, -1 / 1.5)];
  expect(values.map(bitsOf)).toMatchInlineSnapshot(`
    [
      "3ff193ea7aad030a",
      "c0026bb1bbb55515",
      "c0864e69394d9508",
      "4005bf0a8b14576a",
      "3f99511fc6871044",
      "0000000000000007",
      "3ff6a09e667f3bcc",
      "3fff0b683e033317",
    ]
  `);
});

describe("murmur3", () => {
  test("has the published vectors", () => {
    expect(murmur3("")).toBe(0);
    expect(murmur3("abc")).toBe(3017643002);
    expect(murmur3("hello")).toBe(613153351);
    expect(murmur3("", 1)).toBe(0x514e28b7);
    expect(murmur3("", 0xffffffff)).toBe(0x81f16f39);
    expect(murmur3("aaaa", 0x9747b28c)).toBe(0x5a97808a);
    expect(murmur3("Hello, world!", 0x9747b28c)).toBe(0x24884cba);
    expect(murmur3("ππππππππ", 0x9747b28c)).toBe(0xd58063c1);
    expect(murmur3("The quick brown fox jumps over the lazy dog", 0x9747b28c)).toBe(0x2fa826cd);
  });

  test("hashes the UTF-8 bytes of any text, lone surrogates as TextEncoder writes them", () => {
    const unit = fc.oneof(
      fc.integer({ min: 0, max: 0x7f }),
      fc.integer({ min: 0x80, max: 0x7ff }),
      fc.integer({ min: 0x800, max: 0xffff }),
      fc.integer({ min: 0xd800, max: 0xdfff }),
    );
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 20 }), fc.integer(), (units, seed) => {
        const text = String.fromCharCode(...units);
        expect(murmur3(text, seed)).toBe(reference(new TextEncoder().encode(text), seed));
      }),
      { numRuns: 2000 },
    );
    for (const text of ["用户", "😀", "\ud800", "\udc00\ud800", "a\ud800b", "é\u0000", "é".repeat(10_001)]) {
      expect(murmur3(text)).toBe(reference(new TextEncoder().encode(text), 0));
    }
  });
});

test("mix is a bijection's worth of mixing: a flipped bit changes about half of the result", () => {
  let flips = 0;
  const trials = 32 * 500;
  for (let value = 0; value < 500; value++) {
    for (let bit = 0; bit < 32; bit++) {
      let difference = mix(value * 2654435761) ^ mix((value * 2654435761) ^ (1 << bit));
      for (; difference !== 0; difference &= difference - 1) flips++;
    }
  }
  expect(Math.abs(flips / trials - 16)).toBeLessThan(0.2);
});

/** The algorithm as its author wrote it, a block of four bytes after the other. */
function reference(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rotl = (x: number, r: number): number => (x << r) | (x >>> (32 - r));
  const scramble = (k: number): number => Math.imul(rotl(Math.imul(k, 0xcc9e2d51), 15), 0x1b873593);
  let hash = seed | 0;
  const blocks = bytes.length >> 2;
  for (let block = 0; block < blocks; block++) {
    hash = (Math.imul(rotl(hash ^ scramble(view.getUint32(block * 4, true)), 13), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let index = bytes.length - 1; index >= blocks * 4; index--) tail = (tail << 8) | bytes[index]!;
  if (bytes.length % 4 !== 0) hash ^= scramble(tail);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
