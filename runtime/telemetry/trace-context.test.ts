import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  formatBaggage,
  formatTraceparent,
  formatTracestate,
  parseBaggage,
  parseTraceparent,
  parseTracestate,
  type BaggageEntry,
} from "./trace-context.ts";

const hex = (digits: number) =>
  fc
    .array(fc.constantFrom(..."0123456789abcdef"), { minLength: digits, maxLength: digits })
    .map((all) => all.join(""))
    .filter((text) => !/^0+$/.test(text));

describe("traceparent", () => {
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const span = "00f067aa0ba902b7";

  test("what is written is read again", () => {
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, isSampled) => {
        const parent = { traceId, spanId, isSampled };
        expect(parseTraceparent(formatTraceparent(parent))).toEqual(parent);
      }),
    );
  });

  test("reads the recommendation's own example, and any flags", () => {
    expect(parseTraceparent(`00-${trace}-${span}-01`)).toEqual({ traceId: trace, spanId: span, isSampled: true });
    expect(parseTraceparent(`00-${trace}-${span}-02`)?.isSampled).toBe(false);
    expect(parseTraceparent(`00-${trace}-${span}-ff`)?.isSampled).toBe(true);
  });

  test.each([
    ["another length", `00-${trace}-${span}-1`],
    ["capitals", `00-${trace.toUpperCase()}-${span}-01`],
    ["a trace of zeros", `00-${"0".repeat(32)}-${span}-01`],
    ["a span of zeros", `00-${trace}-${"0".repeat(16)}-01`],
    ["version ff", `ff-${trace}-${span}-01`],
    ["more behind version 00", `00-${trace}-${span}-01-more`],
    ["nothing", ""],
    ["blanks around it", ` 00-${trace}-${span}-01`],
  ])("ignores %s", (_, text) => expect(parseTraceparent(text)).toBeUndefined());

  test("a newer version may say more", () => {
    expect(parseTraceparent(`01-${trace}-${span}-01`)).toBeDefined();
    expect(parseTraceparent(`cc-${trace}-${span}-01-what-ever`)).toBeDefined();
    expect(parseTraceparent(`cc-${trace}-${span}-01what`)).toBeUndefined();
  });

  test("never throws, whatever comes", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseTraceparent(text)));
  });
});

describe("tracestate", () => {
  test("reads entries in their order, blanks and empty ones left out", () => {
    expect(parseTracestate("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE ,,\tfw529a3039@dt=FfffffeC;p=1")).toBeUndefined();
    expect(parseTracestate("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE ,,\tfw529a3039@dt=Fff;p:1")).toEqual([
      { key: "rojo", value: "00f067aa0ba902b7" },
      { key: "congo", value: "t61rcWkgMzE" },
      { key: "fw529a3039@dt", value: "Fff;p:1" },
    ]);
    expect(parseTracestate("")).toEqual([]);
  });

  test.each([
    ["a key twice", "a=1,b=2,a=3"],
    ["no value", "a="],
    ["no key", "=1"],
    ["no equals sign", "a"],
    ["a capital in a key", "Rojo=1"],
    ["more than 32", Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(",")],
    ["a value that is too long", `a=${"x".repeat(257)}`],
    ["a character outside of ASCII", "a=ü"],
  ])("discards one with %s", (_, text) => expect(parseTracestate(text)).toBeUndefined());

  test("what is written is read again", () => {
    const keys = fc.stringMatching(/^[a-z][a-z0-9_*/-]{0,20}(@[a-z][a-z0-9]{0,5})?$/);
    const values = fc.stringMatching(/^[ -+\--<>-~]{0,20}[!-+\--<>-~]$/);
    const entry = fc.record({
      key: keys,
      value: values.map((value) => value.trimStart()).filter((value) => value !== ""),
    });
    fc.assert(
      fc.property(fc.uniqueArray(entry, { maxLength: 32, selector: ({ key }) => key }), (entries) => {
        expect(parseTracestate(formatTracestate(entries))).toEqual(entries);
      }),
    );
  });
});

describe("baggage", () => {
  test("reads values, percent-encoded, and properties", () => {
    expect(parseBaggage("tenant=b%C3%A4r , userId = Am%C3%A9lie;ttl=3 ; secret,isProduction=false")).toEqual([
      { key: "tenant", value: "bär", properties: [] },
      { key: "userId", value: "Amélie", properties: ["ttl=3", "secret"] },
      { key: "isProduction", value: "false", properties: [] },
    ]);
  });

  test("leaves out what breaks the rules and keeps the rest; the last of two with one key counts", () => {
    expect(parseBaggage('a=1,b,=2,c="x",d=4,a=5')).toEqual([
      { key: "d", value: "4", properties: [] },
      { key: "a", value: "5", properties: [] },
    ]);
    expect(parseBaggage("broken=%C3x,percent=%,half=%4")).toEqual([
      { key: "broken", value: "\ufffdx", properties: [] },
      { key: "percent", value: "%", properties: [] },
      { key: "half", value: "%4", properties: [] },
    ]);
  });

  test("what is written is read again, whatever the values are, as printable ASCII", () => {
    const entry: fc.Arbitrary<BaggageEntry> = fc.record({
      key: fc.stringMatching(/^[a-zA-Z0-9_.-]{1,12}$/),
      value: fc.string({ unit: "grapheme" }),
      properties: fc.array(fc.stringMatching(/^[a-z]{1,5}(=[a-z0-9]{1,5})?$/), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(entry, { maxLength: 64, selector: ({ key }) => key }), (entries) => {
        const text = formatBaggage(entries);
        expect(text).toMatch(/^[\x20-\x7e]*$/);
        expect(parseBaggage(text)).toEqual(entries);
      }),
    );
  });

  test("never throws, whatever comes", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseBaggage(text)));
  });
});

test.each([
  ["blanks in the middle", `a=1${" ".repeat(65_000)}2`],
  ["members", Array.from({ length: 11_000 }, (_, index) => `k${index}=1`).join(",")],
])("as many %s as fields may have are read in no time", (_, text) => {
  const tookMs = [1, 2, 3].map(() => {
    const beganMs = performance.now();
    expect(parseTracestate(text)).toBeUndefined();
    parseBaggage(text);
    return performance.now() - beganMs;
  });
  expect(Math.min(...tookMs)).toBeLessThan(150);
});
