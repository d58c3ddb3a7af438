import fc from "fast-check";
import { expect, test } from "vitest";

import { readDocument } from "./document.ts";
import { addressMatch, glob, networkMatch, textMatch } from "./match.ts";

const text = (yaml: string) => textMatch(readDocument(yaml));

test("a text match has one condition", () => {
  expect(text("exact: a")("a")).toBe(true);
  expect(text("exact: 1.0")("1.0")).toBe(true);
  expect(text("prefix: eu-")("eu-1")).toBe(true);
  expect(text("prefix: eu-")(undefined)).toBe(false);
  expect(text("wildcard: '*-1'")("eu-1")).toBe(true);
  expect(text("regex: 'e.'")("eu")).toBe(true);
  expect(text("regex: 'e.'")("eu-1")).toBe(false);
  expect(text("regex: 'a|b'")("ab")).toBe(false);
  expect(text("empty: true")(undefined)).toBe(true);
  expect(text("empty: true")("")).toBe(true);
  expect(text("noempty: true")("")).toBe(false);
  expect(text("noempty: true")("a")).toBe(true);
  expect(() => text("{ exact: a, prefix: b }")).toThrow(/one condition/);
  expect(() => text("{}")).toThrow(/one condition/);
  expect(() => text("\nregex: '('")).toThrow(/line 2: .* no regular expression/);
});

test("a glob matches what the equivalent regular expression does", () => {
  const piece = fc.array(fc.constantFrom("a", "b", ".", "*"), { maxLength: 8 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(piece, piece, (pattern, candidate) => {
      const regex = new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*")}$`, "s");
      expect(glob(pattern)(candidate)).toBe(regex.test(candidate));
    }),
    { numRuns: 2000 },
  );
});

test("a network is matched by its first bits", () => {
  const within = (network: string, candidate: string) =>
    networkMatch(readDocument(`a: '${network}'`).fields("a").a!)(candidate);
  const byte = fc.nat({ max: 255 });
  const address = fc.tuple(byte, byte, byte, byte);
  const binary = (bytes: readonly number[]) => bytes.map((one) => one.toString(2).padStart(8, "0")).join("");
  fc.assert(
    fc.property(address, address, fc.nat({ max: 32 }), fc.boolean(), (network, other, bits, isNear) => {
      const candidate = isNear ? [...network.slice(0, 3), other[3]] : other;
      const expected = binary(network).slice(0, bits) === binary(candidate).slice(0, bits);
      expect(within(`${network.join(".")}/${bits}`, `${candidate.join(".")}:20880`)).toBe(expected);
    }),
  );
  expect(within("10.0.0.0/8", "orders.svc:20880")).toBe(false);
  for (const wrong of ["10.0.0.0", "10.0.0.0/33", "10.0.0.256/8", "::1/8", "10.0.0.0/"])
    expect(() => within(wrong, "10.0.0.1:1")).toThrow(/no network of IPv4 addresses/);
});

test("an address is matched by host and port", () => {
  const address = (pattern: string, candidate: string) =>
    addressMatch(readDocument(`a: '${pattern}'`).fields("a").a!)(candidate);
  expect(address("10.0.0.3:20880", "10.0.0.3:20880")).toBe(true);
  expect(address("10.0.0.3:20880", "10.0.0.3:20881")).toBe(false);
  expect(address("10.0.0.3", "10.0.0.3:1")).toBe(true);
  expect(address("10.0.1.*:*", "10.0.1.77:1")).toBe(true);
  expect(address("10.0.1.*:*", "10.0.11.7:1")).toBe(false);
  expect(address("0.0.0.0:0", "[::1]:80")).toBe(true);
  expect(address("[::1]", "[::1]:80")).toBe(true);
  expect(address("*:80", "[::1]:80")).toBe(true);
});
