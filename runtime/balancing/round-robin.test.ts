import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, isImplausible, pool } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { roundRobin } from "./round-robin.ts";
import { balancerNamed, balancers, dubboBalancers } from "./table.ts";
import { uniformRandom } from "./uniform-random.ts";

describe("round-robin", () => {
  test("takes one after the other, whatever their weights, from wherever it begins", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 }),
        fc.integer(),
        (weights, seed) => {
          const endpoints = pool(...weights);
          const picker = roundRobin({ random: createRandom(seed) })(endpoints);
          const first = endpoints.indexOf(picker.pick(call())!);
          for (let turn = 1; turn < 30; turn++) {
            expect(picker.pick(call())).toBe(endpoints[(first + turn) % endpoints.length]);
          }
        },
      ),
    );
  });

  test("not every client begins at the first", () => {
    const endpoints = pool(1, 1, 1, 1);
    const firsts = Array.from({ length: 100 }, (_, seed) =>
      roundRobin({ random: createRandom(seed) })(endpoints).pick(call()),
    );
    expect(new Set(firsts).size).toBe(4);
  });

  test("goes on behind the last one when the list changes", () => {
    const endpoints = pool(1, 1, 1, 1);
    const balancer = roundRobin({ random: createRandom(1) });
    const at = endpoints.indexOf(balancer(endpoints).pick(call())!);
    const next = endpoints[(at + 1) % 4];
    expect(balancer(pool(1, 1, 1, 1)).pick(call())!.id).toBe(next!.id);
    // The one that was picked last left: the one behind it is next.
    expect(balancer(endpoints.filter(({ id }) => id !== next!.id)).pick(call())!.id).toBe(endpoints[(at + 2) % 4]!.id);
  });
});

test("uniform random ignores weights, but for 0", () => {
  const endpoints = pool(1, 0, 1000);
  const picker = uniformRandom({ random: createRandom(4) })(endpoints);
  const picks = Array.from({ length: 4000 }, () => picker.pick(call()));
  expect(picks).not.toContain(endpoints[1]);
  expect(isImplausible(picks.filter((one) => one === endpoints[0]).length, 4000, 0.5)).toBe(false);
});

test("every one of Dubbo's names is a balancer", () => {
  for (const name of Object.keys(dubboBalancers)) expect(Object.keys(balancers)).toContain(balancerNamed(name));
  expect(balancerNamed("p2c")).toBe("p2c");
});
