import fc from "fast-check";
import { expect, test } from "vitest";

import { call, endpoint, occupy } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { balancers } from "./table.ts";
import { warmedUp, warmUpWeight } from "./warm-up.ts";

const startMs = 1_800_000_000_000;
const young = (metadata: Readonly<Record<string, string>> = {}) =>
  endpoint({ weight: 100, metadata: { timestamp: String(startMs), warmup: "600000", ...metadata } });

test("V22: of weight 100 and ten minutes there are 10 after one minute, 50 after five, and 1 at least", () => {
  expect([0, 1, 60, 300, 599.9, 600, 6000].map((s) => warmUpWeight(s * 1000, 600_000, 100))).toEqual([
    1, 1, 10, 50, 99, 100, 100,
  ]);
});

test("only who says when it started and how long it warms up does", () => {
  const others = [endpoint(), young({ warmup: "soon" }), young({ timestamp: "-1" }), young({ warmup: "0" })];
  expect(warmedUp(others, startMs + 1)).toEqual({ endpoints: others, forMs: Infinity });
  expect(warmedUp(others, startMs + 1).endpoints).toBe(others);
});

test("a start that lies ahead is one that was just now; Go's seconds are read too", () => {
  expect(warmedUp([young()], startMs - 50_000).endpoints[0]!.weight).toBe(1);
  expect(warmedUp([young({ timestamp: String(startMs / 1000) })], startMs + 300_000).endpoints[0]!.weight).toBe(50);
});

test("the weight is the formula's until it changes, it only grows, and its identity stays", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 2000, max: 600_000 }), (weight, warmUpMs) => {
      const one = endpoint({ weight, metadata: { timestamp: String(startMs), warmup: String(warmUpMs) } });
      let before = 0;
      for (let atMs = 0; atMs < warmUpMs;) {
        const { endpoints, forMs } = warmedUp([one], startMs + atMs);
        const [now] = endpoints;
        expect(now!.stats).toBe(one.stats);
        expect(now!.weight).toBe(warmUpWeight(atMs, warmUpMs, weight));
        expect(now!.weight).toBeGreaterThanOrEqual(before);
        before = now!.weight;
        if (forMs === Infinity) return;
        if (forMs > 20) expect(warmUpWeight(atMs + forMs - 1, warmUpMs, weight)).toBe(before);
        atMs += forMs;
      }
      expect(warmedUp([one], startMs + warmUpMs).endpoints[0]).toBe(one);
    }),
    { numRuns: 30 },
  );
});

test("least active defeats it: an instance that has just started and is idle gets every call (apache/dubbo#14406)", () => {
  const warm = endpoint({ id: "orders/0" });
  const cold = endpoint({ id: "orders/1", metadata: { timestamp: String(startMs), warmup: "600000" } });
  occupy(warm, 1);
  const { endpoints } = warmedUp([warm, cold], startMs);
  expect(endpoints[1]!.weight).toBe(1);
  const picked = (name: string): number => {
    const picker = balancers[name]!({ random: createRandom(1) })(endpoints);
    return Array.from({ length: 100 }, () => picker.pick(call())!.id).filter((id) => id === "orders/1").length;
  };
  expect(picked("least-active")).toBe(100);
  expect(picked("weighted-random")).toBeLessThan(10);
});
