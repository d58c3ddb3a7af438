import fc from "fast-check";
import { expect, test } from "vitest";

import { ManualClock } from "../testing/clock.ts";
import { Allowance } from "./allowance.ts";

const takeAll = (allowance: Allowance): number => {
  let taken = 0;
  while (allowance.take()) taken++;
  return taken;
};

test("never allows more than a burst at once, however long nothing was taken", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(30), fc.nat(3_000_000))), async (steps) => {
      const clock = new ManualClock();
      const allowance = new Allowance(clock, { burst: 20, perSecond: 10 });
      for (const [times, pauseUs] of steps) {
        for (let time = 0; time < times; time++) allowance.take();
        await clock.advance(pauseUs);
      }
      expect(takeAll(allowance)).toBeLessThanOrEqual(20);
    }),
  );
});

test("allows a burst, then so many a second, and what was earned on top", async () => {
  const clock = new ManualClock();
  const allowance = new Allowance(clock, { burst: 20, perSecond: 10 });
  expect(takeAll(allowance)).toBe(20);
  await clock.advance(500_000);
  expect(takeAll(allowance)).toBe(5);
  allowance.earn(8);
  expect(takeAll(allowance)).toBe(8);
  await clock.advance(60_000_000);
  // One more doesn't begin another burst.
  expect([allowance.take(), takeAll(allowance)]).toEqual([true, 19]);
});
