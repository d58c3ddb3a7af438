import fc from "fast-check";
import { expect, test } from "vitest";

import type { LinkShape } from "../worlds/world.ts";
import { combine } from "./links.ts";

const shapes: fc.Arbitrary<LinkShape> = fc.record(
  {
    latency: fc.record({
      addUs: fc.nat(1_000_000),
      jitterUs: fc.nat(10_000),
      distribution: fc.constant("uniform" as const),
    }),
    bandwidthBytesPerSecond: fc.integer({ min: 1, max: 1_000_000 }),
    lossProbability: fc.double({ min: 0.01, max: 1, noNaN: true }),
    cut: fc.constantFrom("both" as const, "forward" as const, "backward" as const),
    isRefusing: fc.constant(true),
    slowCloseUs: fc.nat(1_000_000),
  },
  { requiredKeys: [] },
);

test("a healthy link changes nothing", () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      expect(combine({}, shape)).toEqual(combine(shape, {}));
    }),
  );
  expect(combine({}, {})).toEqual({});
});

test("two faults at once are never milder than either", () => {
  fc.assert(
    fc.property(shapes, shapes, (a, b) => {
      const both = combine(a, b);
      for (const one of [a, b]) {
        expect(both.latency?.addUs ?? 0).toBeGreaterThanOrEqual(one.latency?.addUs ?? 0);
        expect(both.bandwidthBytesPerSecond ?? Infinity).toBeLessThanOrEqual(one.bandwidthBytesPerSecond ?? Infinity);
        expect(both.lossProbability ?? 0).toBeGreaterThanOrEqual((one.lossProbability ?? 0) - 1e-12);
        expect(both.slowCloseUs ?? 0).toBeGreaterThanOrEqual(one.slowCloseUs ?? 0);
        if (one.isRefusing) expect(both.isRefusing).toBe(true);
        if (one.cut !== undefined) expect([one.cut, "both"]).toContain(both.cut);
      }
    }),
  );
});
