import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, endpoint, isImplausible, occupy, pool } from "../fixtures.ts";
import type { Random } from "../ports/random.ts";
import { createRandom } from "../random.ts";
import { leastActive } from "./least-active.ts";

const busy = fc.record({ weight: fc.integer({ min: 0, max: 3 }), inFlight: fc.integer({ min: 0, max: 3 }) });

describe("least active", () => {
  test("picks one with the fewest calls in flight of those that have a weight", () => {
    fc.assert(
      fc.property(fc.array(busy, { maxLength: 12 }), fc.integer(), (inits, seed) => {
        const endpoints = inits.map((init, index) => endpoint({ id: `orders/${index}`, ...init }));
        const picked = leastActive({ random: createRandom(seed) })(endpoints).pick(call());
        const usable = endpoints.filter(({ weight }) => weight > 0);
        if (usable.length === 0) expect(picked).toBeUndefined();
        else {
          expect(usable).toContain(picked);
          expect(picked!.stats.inFlight).toBe(Math.min(...usable.map(({ stats }) => stats.inFlight)));
        }
      }),
    );
  });

  test("is uniform for a caller that sends one call after the other, however slow an instance is", () => {
    const endpoints = pool(100, 100, 100);
    const picker = leastActive({ random: createRandom(21) })(endpoints);
    const counts = [0, 0, 0];
    for (let trial = 0; trial < 9000; trial++) {
      const picked = picker.pick(call())!;
      // The call is over before the next begins: nothing is ever in flight when it is picked.
      occupy(picked, 1);
      occupy(picked, 0);
      counts[endpoints.indexOf(picked)]!++;
    }
    for (const count of counts) expect(isImplausible(count, 9000, 1 / 3)).toBe(false);
  });

  test("breaks ties by weight, wherever the tied ones stand", () => {
    const endpoints = [
      endpoint({ id: "orders/0", weight: 300, inFlight: 1 }),
      endpoint({ id: "orders/1", weight: 100 }),
      endpoint({ id: "orders/2", weight: 500, inFlight: 2 }),
      endpoint({ id: "orders/3", weight: 300 }),
    ];
    const picker = leastActive({ random: createRandom(3) })(endpoints);
    let heavier = 0;
    for (let trial = 0; trial < 9000; trial++) {
      const picked = picker.pick(call())!;
      expect(picked.stats.inFlight).toBe(0);
      if (picked.id === "orders/3") heavier++;
    }
    expect(isImplausible(heavier, 9000, 0.75)).toBe(false);
    expect(isImplausible(heavier, 9000, 0.5)).toBe(true);
  });

  test("gives each tied one exactly weight / sum of all equally likely draws", () => {
    const endpoints = pool(1, 2, 3);
    const picked = [0, 1, 2, 3, 4, 5].map((draw) => {
      const random = { below: () => draw } as unknown as Random;
      return leastActive({ random })(endpoints).pick(call())!.weight;
    });
    expect(picked).toEqual([1, 2, 2, 3, 3, 3]);
  });

  test("sees calls that begin and end after the picker was made", () => {
    const endpoints = pool(1, 1);
    const picker = leastActive({ random: createRandom(1) })(endpoints);
    occupy(endpoints[0]!, 1);
    expect(picker.pick(call())).toBe(endpoints[1]);
    occupy(endpoints[1]!, 2);
    expect(picker.pick(call())).toBe(endpoints[0]);
  });

  test("knows who has the fewest after any calls and any changes of the list, each tied one by its weight", () => {
    const step = fc.record({
      index: fc.nat(),
      inFlight: fc.integer({ min: 0, max: 3 }),
      leaves: fc.nat(),
      draw: fc.nat(),
    });
    fc.assert(
      fc.property(
        fc.array(busy, { minLength: 1, maxLength: 10 }),
        fc.array(step, { maxLength: 30 }),
        (inits, steps) => {
          const all = inits.map((init, index) => endpoint({ id: `orders/${index}`, ...init }));
          let drawn = 0;
          let bound = 0;
          const random = { below: (limit: number) => drawn % (bound = limit) } as unknown as Random;
          const balancer = leastActive({ random });
          for (const { index, inFlight, leaves, draw } of steps) {
            drawn = draw;
            occupy(all[index % all.length]!, inFlight);
            const list = all.filter((_, position) => ((leaves >> position) & 1) === 0);
            const picked = balancer(list).pick(call());
            const usable = list.filter(({ weight }) => weight > 0);
            const fewest = usable.filter(
              ({ stats }) => stats.inFlight === Math.min(...usable.map((one) => one.stats.inFlight)),
            );
            if (usable.length === 0) expect(picked).toBeUndefined();
            else expect(fewest).toContain(picked);
            // One alone is picked without a draw.
            if (usable.length > 1) expect(bound).toBe(fewest.reduce((sum, { weight }) => sum + weight, 0));
          }
        },
      ),
    );
  });
});
