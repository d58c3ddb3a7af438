import fc from "fast-check";
import { expect, test } from "vitest";

import { didYouMean, nearest } from "./nearest.ts";

const names = ["orders", "payments", "storefront", "node-loss", "latency-injection"];

test.each([
  ["ordres", "orders"],
  ["order", "orders"],
  ["Orders", "orders"],
  ["payment", "payments"],
  ["node-los", "node-loss"],
  ["latency", "latency-injection"],
])("%s is near %s", (wrong, right) => {
  expect(nearest(wrong, names)).toBe(right);
});

test("what is like nothing is near nothing", () => {
  expect(nearest("zzz", names)).toBeUndefined();
  expect(nearest("", names)).toBeUndefined();
  expect(didYouMean("zzz", names)).toBeUndefined();
});

test("one slip of the finger in a name of four letters or more is understood", () => {
  const slip = fc
    .tuple(fc.stringMatching(/^[a-z]{4,12}$/), fc.nat(), fc.constantFrom("drop", "double", "swap", "other"))
    .map(([name, at, kind]) => {
      const index = at % (name.length - 1);
      const [head, tail] = [name.slice(0, index), name.slice(index)];
      const wrong = {
        drop: head + tail.slice(1),
        double: head + tail[0]! + tail,
        swap: head + tail[1]! + tail[0]! + tail.slice(2),
        other: `${head}0${tail.slice(1)}`,
      }[kind];
      return { name, wrong };
    });
  fc.assert(fc.property(slip, ({ name, wrong }) => nearest(wrong, ["0000000000000000", name]) === name));
});
