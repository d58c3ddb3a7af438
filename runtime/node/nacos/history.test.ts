import fc from "fast-check";
import { expect, test } from "vitest";

import { latestThatHeld, markOf, type Change } from "./history.ts";

/** What a server writes: a publish is put on the change before it, on one of the latest, or on no condition. */
const histories = fc.array(fc.option(fc.nat(3)), { maxLength: 40 }).map((publishes) => {
  const changes: Change[] = [];
  /** What stands, after each change. */
  const standing = [0];
  for (const [index, back] of publishes.entries()) {
    const id = 10 * (index + 1);
    // A client knows of what stood a few changes ago.
    const base = back === null ? undefined : standing.at(-1 - Math.min(back, index))!;
    const holds = base === undefined || base === standing.at(-1);
    changes.unshift({ id, mark: markOf(`publish-${index}`, base) });
    standing.push(holds ? id : standing.at(-1)!);
  }
  return { changes, standing };
});

test("what stands is told from the history, at every change of it", () => {
  fc.assert(
    fc.property(histories, ({ changes, standing }) => {
      for (const [index, held] of standing.entries()) expect(latestThatHeld(changes, 10 * index, true)).toBe(held);
    }),
  );
});

test("the latest part of a history tells the same, or nothing", () => {
  fc.assert(
    fc.property(histories, fc.nat(40), ({ changes, standing }, length) => {
      const areAll = length >= changes.length;
      const held = latestThatHeld(changes.slice(0, length), Infinity, areAll);
      if (held !== undefined || areAll) expect(held).toBe(standing.at(-1));
    }),
  );
});

test("a few late publishes don't hide what they didn't change", () => {
  const changes = [
    { id: 9, mark: "late if 3" },
    { id: 7, mark: "later if 5" },
    { id: 6, mark: "first if 5" },
    { id: 5, mark: "somebody else's" },
  ];
  expect(latestThatHeld(changes, 9, false)).toBe(6);
  expect(latestThatHeld(changes.slice(0, 2), 9, false)).toBeUndefined();
  expect(latestThatHeld([], 9, false)).toBeUndefined();
});
