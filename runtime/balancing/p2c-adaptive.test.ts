import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { adaptiveEnabledKey, adaptiveRemainingKey, metadata } from "../call/metadata.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { call, occupy, pool, tell } from "../fixtures.ts";
import type { Random } from "../ports/random.ts";
import { createRandom } from "../random.ts";
import { p2cAdaptive } from "./p2c-adaptive.ts";

/** Draws the first two of a list of two: "one" is 0, "other" 1. */
const zero = { below: () => 0 } as unknown as Random;
const report = (endpoint: Endpoint, remaining: number | string, method?: string): void =>
  tell(endpoint, {
    trailers: metadata({ [adaptiveRemainingKey]: String(remaining) }),
    ...(method !== undefined && { method }),
  });

describe("adaptive P2C", () => {
  test("asks every instance for a report", () => {
    expect(p2cAdaptive({ random: zero }).carries).toEqual([[adaptiveEnabledKey, "1"]]);
  });

  test("decides as dubbo-go does: who is unknown is tried, the one drawn first before the other; then who has more; equals: the second", () => {
    const [one, other] = pool(1, 1) as [Endpoint, Endpoint];
    const picker = p2cAdaptive({ random: zero })([one, other]);
    expect(picker.pick(call())).toBe(one);
    report(one, 10);
    expect(picker.pick(call())).toBe(other);
    report(other, 10);
    expect(picker.pick(call())).toBe(other);
    report(other, 9);
    expect(picker.pick(call())).toBe(one);
  });

  test("keeps the methods apart", () => {
    const [one, other] = pool(1, 1) as [Endpoint, Endpoint];
    const picker = p2cAdaptive({ random: zero })([one, other]);
    picker.pick(call({ method: "/a/B" }));
    for (const endpoint of [one, other]) report(endpoint, endpoint === one ? 1 : 5, "/a/B");
    for (const endpoint of [one, other]) report(endpoint, endpoint === one ? 5 : 1, "/a/C");
    expect(picker.pick(call({ method: "/a/B" }))).toBe(other);
    expect(picker.pick(call({ method: "/a/C" }))).toBe(one);
  });

  // https://github.com/apache/dubbo-go/issues/3336: the well instances get the load.
  test("doesn't go on sending to an instance that hangs, whatever it said last", () => {
    const endpoints = pool(1, 1);
    const picker = p2cAdaptive({ random: createRandom(1) })(endpoints);
    picker.pick(call());
    report(endpoints[0]!, 50);
    report(endpoints[1]!, 45);
    for (let calls = 0; calls < 1000; calls++) {
      const picked = picker.pick(call())!;
      // The second answers at once, the first never.
      if (picked === endpoints[0]) occupy(picked, picked.stats.inFlight + 1);
      else report(picked, 45);
    }
    expect(endpoints[0]!.stats.inFlight).toBeLessThanOrEqual(6);
  });

  test("reads no report that isn't a count", () => {
    const [one, other] = pool(1, 1) as [Endpoint, Endpoint];
    const picker = p2cAdaptive({ random: zero })([one, other]);
    picker.pick(call());
    report(one, 3);
    report(other, 4);
    for (const text of ["-1", "1e9", "", "NaN", "99999999999999999999"]) report(one, text);
    expect(picker.pick(call())).toBe(other);
  });

  test("picks one of the list that has a weight, whatever was reported", () => {
    const weights = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 8 });
    fc.assert(
      fc.property(
        weights,
        fc.array(fc.tuple(fc.nat({ max: 7 }), fc.nat({ max: 60 }))),
        fc.integer(),
        (all, told, seed) => {
          const endpoints = pool(...all);
          const picker = p2cAdaptive({ random: createRandom(seed) })(endpoints);
          for (const [index, remaining] of told) {
            const picked = picker.pick(call());
            if (all.some((weight) => weight > 0)) expect(picked!.weight).toBeGreaterThan(0);
            else expect(picked).toBeUndefined();
            if (endpoints[index] !== undefined) report(endpoints[index], remaining);
          }
        },
      ),
    );
  });
});
