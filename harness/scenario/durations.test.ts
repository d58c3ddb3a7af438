import fc from "fast-check";
import { expect, test } from "vitest";

import {
  durationUs,
  formatDuration,
  formatRate,
  formatShare,
  fractionOf,
  ratePerSecond,
  windowUs,
} from "./durations.ts";

test("a duration is whole microseconds, whatever its unit", () => {
  expect(["40us", "250ms", "1.5s", "2m", "0.1ms"].map(durationUs)).toEqual([40, 250_000, 1_500_000, 120_000_000, 100]);
});

test("a share in percent is the nearest double, not one that a division has moved", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100_000 }), (thousandths) => {
      const text = (thousandths / 1000).toFixed(3);
      expect(fractionOf(`${text}%`)).toBe(Number(`${text}e-2`));
    }),
  );
  expect(fractionOf("99.9%")).toBe(0.999);
  expect(fractionOf(0.25)).toBe(0.25);
});

test("a rate is calls per second", () => {
  expect(["80/s", "30/m", "0.5/s"].map(ratePerSecond)).toEqual([80, 0.5, 0.5]);
});

test("a window knows its two ends, and may not end before it begins", () => {
  expect(windowUs("500ms..3s")).toEqual({ fromUs: 500_000, toUs: 3_000_000 });
  expect(() => windowUs("3s..1s")).toThrow('"3s..1s" ends before it begins');
  expect(() => windowUs("3s..3000ms")).toThrow('"3s..3000ms" is empty');
});

test("what is no duration, share, rate or window is quoted with an example", () => {
  expect(() => durationUs("3 sec")).toThrow('"3 sec" is not a duration such as "250ms"');
  expect(() => fractionOf("99")).toThrow('"99" is not a share such as "99%"');
  expect(() => ratePerSecond("80")).toThrow('"80" is not a rate such as "80/s"');
  expect(() => windowUs("3s")).toThrow('"3s" is not a window such as "3s..5s"');
});

test("people read durations in the unit that suits them", () => {
  expect([0, 40, 1_500, 250_000, 1_234_000, 12_340_000, 90_000_000, 120_000_000].map(formatDuration)).toEqual([
    ...["0 µs", "40 µs", "1.5 ms", "250 ms", "1.23 s", "12.3 s", "90 s", "2 min"],
  ]);
});

test("a share is never rounded up to the hundred percent that it isn't", () => {
  expect([0.9996, 1, 0.29, 0.123456].map((share) => formatShare(share))).toEqual(["99.9%", "100%", "29%", "12.3%"]);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.9999999, noNaN: true }), (share) => {
      expect(formatShare(share)).not.toBe("100%");
    }),
  );
});

test("people read rates with three digits", () => {
  expect([0.5, 79.96, 120, 1234.5].map(formatRate)).toEqual(["0.5/s", "80/s", "120/s", "1235/s"]);
});
