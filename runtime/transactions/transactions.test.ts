import fc from "fast-check";
import { expect, test } from "vitest";

import { metadata, noMetadata } from "../call/metadata.ts";
import { formatLockKey, parseLockKey } from "./lock-key.ts";
import { formatXid, parseXid, withoutXid, withXid, xidOf } from "./xid.ts";

test("rows come back from their lock key, each once, whatever is in a table's keys", () => {
  const table = fc.stringMatching(/^[a-z_]{1,8}$/);
  const column = fc.string({ unit: fc.constantFrom("a", "_", ",", ";", ":", "%", "2", "C", "é"), maxLength: 4 });
  const rows = fc.integer({ min: 1, max: 3 }).chain((columns) =>
    fc.array(fc.record({ table, pk: fc.array(column, { minLength: columns, maxLength: columns }) }), {
      maxLength: 8,
    }),
  );
  fc.assert(
    fc.property(rows, (given) => {
      const found = parseLockKey(formatLockKey(given));
      expect(new Set(found.map(({ table: name }) => name))).toEqual(new Set(given.map(({ table: name }) => name)));
      expect(found.length).toBe(new Set(given.map((row) => JSON.stringify([row.table, row.pk]))).size);
    }),
  );
});

test("separators in a key's text name no other row", () => {
  expect(formatLockKey([{ table: "t", pk: ["1,2"] }])).toBe("t:1%2C2");
  expect(formatLockKey([{ table: "t", pk: ["a;u:1"] }])).toBe("t:a%3Bu%3A1");
  expect(formatLockKey([{ table: "t", pk: ["a_b"] }])).toBe("t:a_b");
  expect(formatLockKey([{ table: "t", pk: ["a_b", "c"] }])).toBe("t:a%5Fb_c");
  expect(formatLockKey([{ table: "t", pk: [""] }])).toBe("t:%");
  expect(() => formatLockKey([{ table: "a:b", pk: ["1"] }])).toThrow("no table's name");
  expect(() => formatLockKey([{ table: "t", pk: [] }])).toThrow("without a primary key");
});

test("lock keys are read as Seata's server reads them", () => {
  expect(parseLockKey("account:1,2;stock:7")).toEqual([
    { table: "account", pk: "1" },
    { table: "account", pk: "2" },
    { table: "stock", pk: "7" },
  ]);
  expect(parseLockKey("stock:1;stock:1,2").map(({ pk }) => pk)).toEqual(["1", "2"]);
  for (const nothing of ["", "stock", "stock:", ";;", ","]) expect(parseLockKey(nothing)).toEqual([]);
});

test("an xid is its coordinator's address and a number", () => {
  expect(parseXid(formatXid("10.0.0.1:8091", "6467720403699692336"))).toEqual({
    address: "10.0.0.1:8091",
    transactionId: "6467720403699692336",
  });
  for (const wrong of ["", "10.0.0.1:8091", ":1", "a:b:-1"]) {
    expect(parseXid(wrong)?.address ?? "none").toBe(wrong === "10.0.0.1:8091" ? "10.0.0.1" : "none");
  }
});

test("an xid joins what travels with a call and leaves it again, and nothing else changes", () => {
  const given = metadata({ traceparent: "00-1-2-01", authorization: "token" });
  const bound = withXid(given, "tc:8091:7");
  expect([...bound]).toEqual([...given, ["tx_xid", "tc:8091:7"]]);
  expect(xidOf(bound)).toBe("tc:8091:7");
  expect([...withoutXid(bound)]).toEqual([...given]);
  expect(xidOf(withXid(bound, "tc:8091:8"))).toBe("tc:8091:8");
  expect(xidOf(noMetadata)).toBeUndefined();
});

test("what seata-go writes is found too", () => {
  expect(xidOf(metadata({ SEATA_XID: "tc:8091:9" }))).toBe("tc:8091:9");
});
