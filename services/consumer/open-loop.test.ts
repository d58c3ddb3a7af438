import { expect, test } from "vitest";

import { ManualClock } from "../../runtime/testing/clock.ts";
import { openLoop } from "./open-loop.ts";

test("begins each call when it is due, whatever became of those before, with one timer", async () => {
  const clock = new ManualClock();
  const begun: number[] = [];
  let isOver = false;
  const loop = openLoop(clock, 100, [0, 10, 10, 25], (dueUs) => {
    begun.push(clock.nowUs());
    expect(dueUs).toBe(clock.nowUs());
    return begun.length === 2 ? Promise.reject(new Error("as told")) : clock.sleep(1000);
  });
  void loop.ended.then(() => (isOver = true));
  expect(clock.pending).toBe(1);
  await clock.advance(1000);
  expect(begun).toEqual([100, 110, 110, 125]);
  expect(isOver).toBe(false);
  await clock.advance(125);
  expect(isOver).toBe(true);
});

test("sends what is overdue at once, with the time at which it was due", async () => {
  const clock = new ManualClock();
  await clock.advance(1000);
  const due: number[] = [];
  await openLoop(clock, 0, [10, 20, 900], async (dueUs) => void due.push(dueUs)).ended;
  expect(due).toEqual([10, 20, 900]);
});

test("ends at once without calls", () => openLoop(new ManualClock(), 0, [], () => Promise.resolve()).ended);

test("begins no call after stop, and ends with those under way", async () => {
  const clock = new ManualClock();
  let begun = 0;
  const loop = openLoop(clock, 0, [0, 50, 100], () => {
    begun++;
    return clock.sleep(70);
  });
  await clock.advance(60);
  loop.stop();
  await clock.advance(60);
  await loop.ended;
  expect(begun).toBe(2);
  expect(clock.pending).toBe(0);
});
