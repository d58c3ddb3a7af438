import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { call, endpoint } from "../fixtures.ts";
import { createRandom } from "../random.ts";
import { balancers } from "./table.ts";

/** Weights as registries and rules can leave them: the parsers let no other through (integers from 0 to 1,000,000). */
const weights = fc.array(fc.oneof(fc.constant(0), fc.constant(1_000_000), fc.integer({ min: 0, max: 300 })), {
  maxLength: 12,
});
/** Requests with and without what a hash key is made of, also where it isn't what it should be. */
const requests = fc.constantFrom<unknown>(
  ...[undefined, null, 7, "", "u1", { key: "u1" }, { key: null }, { key: { toString: null } }, { "user-id": 1 }, []],
);
const paths = fc.constantFrom(undefined, "0", "0.key", "0.key.deeper", "1", "0.__proto__", "0.key,0.payload");

describe.each(Object.entries(balancers))("%s", (_, policy) => {
  test("picks one of those that weigh anything, whatever a call is asked with, and nobody when all weigh nothing", () => {
    fc.assert(
      fc.property(weights, requests, paths, fc.integer(), (all, request, path, seed) => {
        const endpoints = all.map((weight, index) => endpoint({ id: `orders/${index}`, weight }));
        const balancer = policy({ random: createRandom(seed) }, { hash: { arguments: path } });
        const picker = balancer(endpoints);
        for (let trial = 0; trial < 5; trial++) {
          const picked = picker.pick(call({ request }));
          if (all.every((weight) => weight === 0)) expect(picked).toBeUndefined();
          else
            expect(picked).toSatisfy(
              (one) => endpoints.includes(one as never) && (one as never as { weight: number }).weight > 0,
            );
        }
      }),
      {
        examples: [
          [[0, 0, 0], undefined, undefined, 1],
          [[], { key: "u1" }, "0.key", 1],
          [[0, 1_000_000, 0], null, "0.key.deeper", 1],
          [[1, 1], { key: { toString: null } }, "0.key", 1],
        ],
      },
    );
  });
});
