import * as fc from "fast-check";
import { expect, test } from "vitest";

import { isCut, nextRetransmissionUs } from "./lane.ts";

test("what was lost is sent again 200, 600, 1400, … ms after it was sent first, and never in the past", () => {
  const inTime = fc.record({ sentUs: fc.nat(1e9), laterUs: fc.nat(60e6) });
  fc.assert(
    fc.property(inTime, ({ sentUs, laterUs }) => {
      const nowUs = sentUs + laterUs;
      const waitedUs = nextRetransmissionUs(sentUs, nowUs) - sentUs;
      expect(waitedUs).toBeGreaterThanOrEqual(laterUs);
      // The first of the moments 200 ms · (2^k - 1) that isn't over: the one before is.
      expect(Number.isInteger(Math.log2(waitedUs / 200_000 + 1))).toBe(true);
      if (waitedUs > 0) expect((waitedUs - 200_000) / 2).toBeLessThan(laterUs);
    }),
  );
});

test("a cut in one direction lets the other one through", () => {
  expect(
    ["forward", "backward", "both"].map((cut) => [true, false].map((way) => isCut({ cut } as never, way))),
  ).toEqual([
    [true, false],
    [false, true],
    [true, true],
  ]);
  expect(isCut({}, true)).toBe(false);
});
