import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Instance } from "../../ports/registry.ts";
import { escapeKey, healthEntriesOf, isOwnedBy, registrationOf, unescapeKey } from "./format.ts";

const options = {
  prefix: "run1-",
  ttlMs: 15_000,
  owner: "me",
  application: "orders",
  interfaceName: "flyball.worker.v1.Worker",
  timestampMs: 1_700_000_000_000,
};

const instance: Instance = {
  id: "orders/0",
  service: "orders",
  address: "10.0.0.1:20880",
  weight: 0,
  metadata: { "dubbo.tag": "gray", version: "2", a_002eb: "x" },
};

/** What Consul answers when that was registered. */
const answerOf = (registration: unknown, status = "passing"): unknown => {
  const { Name, Address, Port, Meta } = registration as Record<string, unknown>;
  const Checks = [{ Status: "passing" }, { Status: status }];
  return [{ Node: { Address: "127.0.0.1" }, Service: { Service: Name, Address, Port, Meta }, Checks }];
};

test("an instance comes back as it was", () => {
  const registration = registrationOf(instance, options);
  expect(registration).toMatchObject({ ID: "run1-orders:orders/0", Name: "run1-orders", Port: 20880 });
  expect(healthEntriesOf("orders", answerOf(registration))).toEqual([{ instance, isPassing: true }]);
  expect(isOwnedBy("me", registration)).toBe(true);
  expect(isOwnedBy("another", registration)).toBe(false);
});

test("who has a check that doesn't pass doesn't pass", () => {
  for (const status of ["critical", "warning"]) {
    expect(healthEntriesOf("orders", answerOf(registrationOf(instance, options), status))[0]?.isPassing).toBe(false);
  }
});

test("keys have only characters that Consul takes, and every key comes back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (key) => {
      expect(escapeKey(key)).toMatch(/^[A-Za-z0-9_-]*$/);
      expect(unescapeKey(escapeKey(key))).toBe(key);
    }),
  );
});

describe("what Consul can't hold is refused, with the size", () => {
  const cases: readonly [string, Record<string, string>, RegExp][] = [
    ["a long value", { note: "é".repeat(257) }, /514 bytes in "note"/],
    ["a long key", { ["k".repeat(129)]: "" }, /a key of 129 characters/],
    ["many", Object.fromEntries([...Array(60).keys()].map((n) => [`k${n}`, ""])), /68 entries/],
  ];
  test.each(cases)("%s", (_, metadata, message) => {
    expect(() => registrationOf({ ...instance, metadata }, options)).toThrow(message);
  });
});

test("foreign and broken entries: what can be called is, the rest is left out", () => {
  const answer = [
    null,
    {},
    { Service: { Address: "h", Port: 0 } },
    { Service: { Address: "", Port: 80, Meta: { version: "3", odd: 7 } }, Node: { Address: "10.9.9.9" }, Checks: [] },
  ];
  expect(healthEntriesOf("orders", answer)).toEqual([
    {
      instance: {
        id: "10.9.9.9:80",
        service: "orders",
        address: "10.9.9.9:80",
        weight: 100,
        metadata: { version: "3" },
      },
      isPassing: true,
    },
  ]);
  expect(() => healthEntriesOf("orders", { error: "no" })).toThrow("Consul answers no list");
});
