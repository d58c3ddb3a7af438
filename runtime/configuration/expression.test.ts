import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { readDocument } from "./document.ts";
import { parseExpression, termMatcher, type Values } from "./expression.ts";

const field = readDocument("line: 1");
const parse = (text: string) => parseExpression(text, field);

function matches(text: string, values: Readonly<Record<string, string>>, caller?: Values): boolean {
  return parse(text).terms.every((term) => termMatcher(term, caller)(values[term.key]));
}

describe("condition expressions", () => {
  test.each([
    ["method=get*", { method: "getComment" }, true],
    ["method=get*", { method: "set" }, false],
    ["method=*", { method: "x" }, true],
    ["name=a*b*c", { name: "a1b2c" }, true],
    ["env=gray,beta", { env: "beta" }, true],
    ["env = gray , beta & zone = eu", { env: "beta", zone: "eu" }, true],
    ["env=gray & zone=eu", { env: "gray", zone: "us" }, false],
    // The same key twice is one set of values.
    ["env=gray & env=beta", { env: "beta" }, true],
    // A value that is absent matches nothing, not even !=.
    ["gray!=false", {}, false],
    ["gray!=false", { gray: "true" }, true],
    ["gray!=false", { gray: "false" }, false],
    // What isn't wanted wins over what is.
    ["env=a,b & env!=b", { env: "b" }, false],
    ["env=a,b & env!=b", { env: "a" }, true],
    ["env=a,b & env!=b", { env: "c" }, false],
    ["host != 172.22.3.91", { host: "172.22.3.90" }, true],
    ["n=1~100", { n: "1" }, true],
    ["n=1~100", { n: "100" }, true],
    ["n=1~100", { n: "100.5" }, false],
    ["n=~100", { n: "-3" }, true],
    ["n=100~", { n: "99" }, false],
    ["n=1~100", { n: "007" }, true],
    ["n=1~100", { n: "1e1" }, false],
    ["n=1~100", { n: "ten" }, false],
    ["n!=1~100", { n: "ten" }, true],
    ["path=a~b", { path: "a~b" }, true],
    ["consumer.zone=eu", { zone: "eu" }, true],
    ["zone=$zone", { zone: "eu" }, true, { zone: "eu" }],
    ["zone=$zone", { zone: "us" }, false, { zone: "eu" }],
    // The caller has none: nothing equals it.
    ["zone=$zone", { zone: "us" }, false, {}],
    ["zone!=$zone", { zone: "us" }, true, {}],
    ["", { any: "thing" }, true],
  ] as const)("%j on %j: %j", (text, values, expected, caller?: Readonly<Record<string, string>>) => {
    expect(matches(text, values, caller && ((key) => caller[key]))).toBe(expected);
  });

  test.each([
    ["method", /"method" has no value/],
    ["method=", /nothing comes after "="/],
    ["a=1 &", /nothing comes after "&"/],
    ["& a=1", /nothing comes before "&"/],
    ["=1", /nothing comes before "="/],
    ["a,b", /comes between values/],
    ["a==b", /"==" is no separator/],
    ["a=b c=d", /"&" is missing before "c"/],
    ["a & b=c", /"a" has no value/],
    ["&".repeat(1000), /is no separator|nothing comes after/],
  ])("%j is refused", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  test("any text is an expression or an error, at once", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab=!&,*$~ []01\t"), maxLength: 200 }), (text) => {
        try {
          for (const { matches: wanted, mismatches } of parse(text).terms) {
            expect(wanted.length + mismatches.length).toBeGreaterThan(0);
          }
        } catch (error) {
          expect((error as Error).name).toBe("RuleError");
        }
      }),
      { numRuns: 2000 },
    );
    expect(() => parse(`a=${"&".repeat(200_000)}`)).toThrow(/nothing comes after/);
    expect(() => parse(`${"!=&,".repeat(50_000)}`)).toThrow();
  });
});
