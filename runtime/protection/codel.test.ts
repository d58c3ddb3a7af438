import { expect, test } from "vitest";

import { Codel } from "./codel.ts";

const msUs = 1000;
/** Asks every 10 ms, each having waited for so long. */
function run(codel: Codel, fromMs: number, toMs: number, waitedMs: number): number[] {
  const dropped: number[] = [];
  for (let ms = fromMs; ms < toMs; ms += 10) if (codel.drops(waitedMs * msUs, ms * msUs, false)) dropped.push(ms);
  return dropped;
}

test("drops nothing while waiting is short, nor for less than an interval, nor the last one", () => {
  const codel = new Codel();
  expect(run(codel, 0, 1000, 4)).toEqual([]);
  expect(run(codel, 1000, 1100, 50)).toEqual([]);
  expect(codel.drops(50_000, 1_100_000, true)).toBe(false);
});

test("drops after an interval of long waits, then faster and faster: interval / √count apart", () => {
  const dropped = run(new Codel(), 0, 600, 50);
  // 100, then 100/√1 later, 100/√2, 100/√3, …: at the next question after each.
  expect(dropped.slice(0, 5)).toEqual([100, 200, 280, 330, 380]);
});

test("stops at the first short wait, and takes up about where it was soon after", () => {
  const codel = new Codel();
  run(codel, 0, 600, 50);
  expect(run(codel, 600, 700, 1)).toEqual([]);
  const again = run(codel, 700, 1000, 50);
  expect(again[0]).toBe(800);
  expect(again[1]! - again[0]!).toBeLessThan(100);
});
