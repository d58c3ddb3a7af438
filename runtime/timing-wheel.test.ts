import fc from "fast-check";
import { expect, test } from "vitest";

import { Scheduled, Wheel } from "./timing-wheel.ts";

class Entry extends Scheduled {
  readonly name: number;
  constructor(name: number) {
    super();
    this.name = name;
  }
}

/** Distances that meet every level, their borders, and the list beyond. */
const delay = fc.oneof(
  fc.constantFrom(0, 1, 1023, 1024, 1025, 0xfffff, 0x100000, 0x3fffffff, 0x40000000, 0x40000001),
  fc.nat(2000),
  fc.nat(3_000_000),
  fc.nat(5_000_000_000),
);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("insert" as const), delay }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pop" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), delay }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), pick: fc.nat() }) },
);

test("yields what a list sorted by (tick, insertion) yields, whatever is inserted and cancelled in between", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.nat(2 ** 52), (steps, start) => {
      const wheel = new Wheel<Entry>(start);
      let reference: Entry[] = [];
      let now = start;
      let names = 0;
      const firstOf = (): Entry | undefined =>
        reference.reduce<Entry | undefined>(
          (best, entry) => (best === undefined || entry.tick < best.tick ? entry : best),
          undefined,
        );
      const pop = (until = Infinity): boolean => {
        const first = firstOf();
        expect(wheel.firstTick).toBe(first?.tick ?? Infinity);
        const popped = wheel.pop(until);
        expect(popped?.name).toBe(first !== undefined && first.tick <= until ? first.name : undefined);
        if (popped === undefined) return false;
        now = popped.tick;
        reference = reference.filter((entry) => entry !== popped);
        return true;
      };
      for (const action of steps) {
        if (action.kind === "insert") {
          const entry = new Entry(names++);
          wheel.insert(entry, now + action.delay);
          reference.push(entry);
        } else if (action.kind === "pop") {
          pop();
        } else if (action.kind === "wait") {
          // What is due comes out, and time has passed also where nothing was.
          const until = now + action.delay;
          while (pop(until));
          now = until;
        } else if (reference.length > 0) {
          const entry = reference[action.pick % reference.length]!;
          expect(wheel.cancel(entry)).toBe(true);
          expect(wheel.cancel(entry)).toBe(false);
          reference = reference.filter((other) => other !== entry);
        }
        expect(wheel.size).toBe(reference.length);
      }
      while (wheel.size > 0) pop();
      expect(wheel.pop()).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test("an entry that came out can be scheduled again", () => {
  const wheel = new Wheel<Entry>();
  const entry = new Entry(0);
  wheel.insert(entry, 10);
  expect(wheel.pop()).toBe(entry);
  wheel.insert(entry, 10);
  expect(wheel.pop()).toBe(entry);
  expect(entry.tick).toBe(10);
});

test("keeps the order of insertion within a tick across levels", () => {
  const wheel = new Wheel<Entry>();
  const far = new Entry(0);
  const near = new Entry(2);
  const middle = new Entry(1);
  wheel.insert(far, 5_000_000);
  wheel.insert(new Entry(-1), 4_999_000);
  wheel.insert(middle, 5_000_000);
  expect(wheel.pop()?.name).toBe(-1);
  wheel.insert(near, 5_000_000);
  expect([wheel.pop(), wheel.pop(), wheel.pop()]).toEqual([far, middle, near]);
});
