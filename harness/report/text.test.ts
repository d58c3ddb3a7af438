import { stripVTControlCharacters, styleText } from "node:util";

import fc from "fast-check";
import { expect, test } from "vitest";

import { bar, cut, pad, sparkline, table, widthOf, wrap } from "./text.ts";

const paint = (text: string): string => styleText("red", text, { validateStream: false });
/** Text as titles have it: Latin and CJK mixed. */
const text = fc.string({ unit: fc.constantFrom(..."ab c，一个提供者é"), maxLength: 60 });

test("a CJK character takes two columns, a colour none", () => {
  expect(["abc", "一个", "（failover）。", "é", paint("ab"), "✓ ▁█ →"].map(widthOf)).toEqual([3, 4, 14, 1, 2, 6]);
});

test("padding fills up to a width, on either side, colours or not", () => {
  expect(pad("一", 4)).toBe("一  ");
  expect(pad("ab", 4, "right")).toBe("  ab");
  expect(widthOf(pad(paint("ab"), 6))).toBe(6);
  expect(pad("too long", 2)).toBe("too long");
});

test("what is cut fits, and shows that something is missing", () => {
  expect(cut("一个提供者", 6)).toBe("一个…");
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 40 }), (whole, width) => {
      const part = cut(whole, width);
      expect(widthOf(part)).toBeLessThanOrEqual(width);
      expect(part === whole || part.endsWith("…")).toBe(true);
    }),
  );
});

test("wrapped lines fit and lose nothing but spaces", () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 8, max: 40 }), (whole, width) => {
      const lines = wrap(whole, width);
      expect(lines.join("").replaceAll(" ", "")).toBe(whole.replaceAll(" ", ""));
      for (const line of lines) {
        // A single word may be longer than the line.
        if (/[ 一-龥]/.test(line)) expect(widthOf(line)).toBeLessThanOrEqual(Math.max(width, 62));
      }
    }),
  );
  expect(wrap("a provider dies and nobody notices", 16)).toEqual(["a provider dies", "and nobody", "notices"]);
  expect(wrap("一个提供者宕机，调用方毫无察觉", 16)).toEqual(["一个提供者宕机，", "调用方毫无察觉"]);
});

test("a table's columns are straight, and one without any text is left out", () => {
  const rows = table(
    [{}, {}, { align: "right" }],
    [
      ["一", "", "1"],
      [paint("abc"), "", "22"],
    ],
  );
  expect(rows.map(stripVTControlCharacters)).toEqual(["一    1", "abc  22"]);
});

test("a sparkline has one character a value, and nothing is a dot", () => {
  expect(sparkline([0, 1, 4, 8])).toBe("·▂▅█");
  expect(sparkline([0, 0])).toBe("··");
});

test("a bar is exact to an eighth of a column", () => {
  expect(bar(0.5, 8)).toBe("████");
  expect(bar(1 / 16, 8)).toBe("▌");
  expect(bar(7, 4)).toBe("████");
  fc.assert(fc.property(fc.double({ noNaN: true }), (share) => widthOf(bar(share, 10)) <= 10));
});
