import fc from "fast-check";
import { expect, test } from "vitest";

import { ManualClock } from "../../testing/clock.ts";
import { CommitQueue } from "./commit-queue.ts";
import type { UndoBranch } from "./undo-log.ts";

const everyMs = 200;
const branch = (id: number): UndoBranch => ({ xid: "xid", branchId: String(id) });

/** A database that takes `tookMs` for each removal, and doesn't come to its end where `failed` says so. */
function queueOn(clock: ManualClock, turns: readonly { readonly tookMs: number; readonly failed: boolean }[]) {
  const removed: string[] = [];
  let calls = 0;
  const queue = new CommitQueue({
    ...{ clock, everyMs, batchMax: 3, waitingMax: 20 },
    remove: async (branches) => {
      const { tookMs, failed } = turns[calls++] ?? { tookMs: 0, failed: false };
      if (tookMs > 0) await clock.sleep(tookMs * 1000);
      if (failed) throw new Error("the database is away");
      removed.push(...branches.map(({ branchId }) => branchId));
    },
  });
  return { queue, removed };
}

test("who comes while a removal takes longer than the time between two is removed after it, without another commit", async () => {
  const clock = new ManualClock();
  const { queue, removed } = queueOn(clock, [{ tookMs: 1_000, failed: false }]);
  queue.add(branch(1));
  await clock.advance(everyMs * 1000);
  queue.add(branch(2));
  await clock.advance(5_000_000);
  expect(removed).toEqual(["1", "2"]);
});

test("whatever a removal takes and however often one fails, everybody is removed once", async () => {
  const turn = fc.record({ tookMs: fc.constantFrom(0, 50, 300, 900), failed: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 500 }), { minLength: 1, maxLength: 15 }),
      fc.array(turn, { maxLength: 6 }),
      async (pausesMs, turns) => {
        const clock = new ManualClock();
        const { queue, removed } = queueOn(clock, turns);
        for (const [id, pauseMs] of pausesMs.entries()) {
          await clock.advance(pauseMs * 1000);
          expect(queue.add(branch(id))).toBe(true);
        }
        await clock.advance(20_000_000);
        expect(removed.toSorted()).toEqual(pausesMs.map((_, id) => String(id)).toSorted());
      },
    ),
  );
});

test("who is closed removes what waits once, and tries nothing any more", async () => {
  const clock = new ManualClock();
  const { queue, removed } = queueOn(clock, [{ tookMs: 0, failed: true }]);
  queue.add(branch(1));
  await queue.close();
  await clock.advance(5_000_000);
  expect(removed).toEqual([]);
});

test("no more than may wait are taken", () => {
  const { queue } = queueOn(new ManualClock(), []);
  const taken = Array.from({ length: 21 }, (_, id) => queue.add(branch(id)));
  expect(taken.indexOf(false)).toBe(20);
});
