import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, pool } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { ManualClock } from "../testing/clock.ts";
import { Rejection } from "./outcome.ts";
import { rateLimitFilter, rateLimitGuard, TokenBucket } from "./rate-limit.ts";

describe("the bucket", () => {
  test("over any time T at most burst + rate·T pass, and a caller that waits gets its rate", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 300_000 }), { minLength: 1, maxLength: 200 }),
        (perSecond, burst, pauses) => {
          const bucket = new TokenBucket({ perSecond, burst }, 0);
          const passed: number[] = [];
          let nowUs = 0;
          for (const pause of pauses) {
            nowUs += pause;
            if (bucket.take(nowUs)) passed.push(nowUs);
          }
          // Exact: every window between two calls that passed, its ends included.
          for (let from = 0; from < passed.length; from++) {
            for (let to = from; to < passed.length; to++) {
              const allowed = burst + (perSecond * (passed[to]! - passed[from]!)) / 1e6;
              expect(to - from + 1).toBeLessThanOrEqual(allowed);
            }
          }
        },
      ),
    );
  });

  test("gives all of its rate to a steady caller", () => {
    const bucket = new TokenBucket({ perSecond: 100, burst: 1 }, 0);
    let passed = 0;
    for (let us = 0; us < 10_000_000; us += 5_000) if (bucket.take(us)) passed++;
    expect(passed).toBe(1_000);
  });

  test("holds a second's worth unless told otherwise, and never less than one call", () => {
    const passed = (perSecond: number): number => {
      const bucket = new TokenBucket({ perSecond }, 0);
      let count = 0;
      while (bucket.take(0)) count++;
      return count;
    };
    expect([passed(5), passed(0.1), passed(2.9)]).toEqual([5, 1, 2]);
  });
});

test("in a client and in a server it refuses RESOURCE_EXHAUSTED, and reports the change, not each refusal", async () => {
  const clock = new ManualClock();
  const reports: string[] = [];
  const report = ({ state }: { readonly state: string }): number => reports.push(state);
  const settings = { perSecond: 10, burst: 2 };
  const [endpoint] = pool(100);
  const guard = rateLimitGuard(settings, {
    clock,
    random: createRandom(1),
    service: "orders",
    report,
    onChange: () => 0,
  });
  const refused = (): boolean => guard.admit!(endpoint!) instanceof Rejection;
  expect([refused(), refused(), refused(), refused()]).toEqual([false, false, true, true]);
  await clock.advance(100_000);
  expect([refused(), refused()]).toEqual([false, true]);
  expect(reports).toEqual(["limiting"]);
  await clock.advance(200_000);
  expect([refused(), reports]).toEqual([false, ["limiting", "passing"]]);

  const filter = rateLimitFilter(settings, { clock, report });
  const serve = () =>
    filter(call({ clock }), {}, () => Promise.resolve({ kind: "unary", message: {}, trailers: new Map() }));
  await serve();
  await serve();
  await expect(serve()).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED", policy: "rate-limit" });
});
