import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { linearRegex } from "./regex.ts";

describe("linear regular expressions", () => {
  const atom = fc.constantFrom("a", "b", ".", "\\d", "[ab]", "[^a]", "[a-c]", "\\w", "1", "é", "(?:ab|b)", "(a|)");
  const pattern = fc
    .array(fc.tuple(atom, fc.constantFrom("", "", "*", "+", "?", "{2}", "{1,3}", "{0,}", "*?")), { maxLength: 6 })
    .chain((parts) => {
      const text = parts.map((part) => part.join("")).join("");
      return fc.constantFrom(text, `${text}|ab*`, `^${text}$`, `(${text})+`, `(?:${text}){1,2}`);
    });

  test("match what the host's engine matches as a whole", () => {
    fc.assert(
      fc.property(
        pattern,
        fc.string({ unit: fc.constantFrom("a", "b", "c", "1", "é"), maxLength: 8 }),
        (source, text) => {
          expect(linearRegex(source)(text)).toBe(new RegExp(`^(?:${source})$`, "u").test(text));
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("the patterns that freeze a backtracking engine take no time", () => {
    const text = `${"a".repeat(20_000)}!`;
    for (const source of ["(a+)+$", "(a|a)*b", "(a*)*c", "(.*a){12}x", "([a-z]+)*1"]) {
      expect(linearRegex(source)(text)).toBe(false);
    }
  });

  test.each([
    "(",
    ")",
    "[a",
    "a**",
    "*a",
    "(?=a)",
    "(?<n>a)",
    "\\1",
    "\\",
    "a{2,1}",
    "{",
    "[z-a]",
    "(a{1000}){1000}",
    "\\p{L}",
  ])("%j is refused", (source) => {
    expect(() => linearRegex(source)).toThrow();
  });

  test("any text is a pattern or an error, soon", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab(|)[]{}*+?.^$\\-,19:"), maxLength: 60 }), (source) => {
        try {
          linearRegex(source)("ab19".repeat(20));
        } catch (error) {
          expect((error as Error).message).not.toMatch(/undefined|stack/);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
