import fc from "fast-check";
import { expect, test } from "vitest";

import { Call } from "../../runtime/call/call.ts";
import { ManualClock } from "../../runtime/testing/clock.ts";
import { WorkQueue, type WorkQueueOptions } from "./queue.ts";

const newCall = (clock: ManualClock, timeoutUs?: number): Call =>
  new Call({ clock, service: "orders", method: "/x", timeoutUs });

test("serves first come, first served, `capacity` at a time", async () => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 2 });
  const ended: string[] = [];
  for (const [name, us] of Object.entries({ a: 30, b: 10, c: 10, d: 10 })) {
    void queue.run(newCall(clock), () => clock.sleep(us)).then(() => ended.push(`${name}@${clock.nowUs()}`));
  }
  expect([queue.running, queue.waiting]).toEqual([2, 2]);
  await clock.advance(100);
  expect(ended).toEqual(["b@10", "c@20", "a@30", "d@30"]);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("refuses one more than may wait", async () => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 1, queueMax: 1 });
  const first = queue.run(newCall(clock), () => clock.sleep(10));
  const second = queue.run(newCall(clock), () => clock.sleep(10));
  await expect(queue.run(newCall(clock), () => clock.sleep(10))).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
  await clock.advance(20);
  await Promise.all([first, second]);
});

test("a call that is cancelled while it waits is never started, and leaves its place", async () => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 1, queueMax: 1 });
  void queue.run(newCall(clock), () => clock.sleep(100));
  let hasStarted = false;
  const late = queue.run(newCall(clock, 50), async () => {
    hasStarted = true;
  });
  const refused = expect(late).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await clock.advance(50);
  await refused;
  expect(queue.waiting).toBe(0);
  await clock.advance(100);
  expect(hasStarted).toBe(false);
});

test("a call that is cancelled while it is worked on frees its worker at once", async () => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 1 });
  const call = newCall(clock);
  const stopped = expect(queue.run(call, () => clock.sleep(1000))).rejects.toMatchObject({ code: "CANCELLED" });
  let startedUs = -1;
  void queue.run(newCall(clock), async () => {
    startedUs = clock.nowUs();
  });
  await clock.advance(5);
  call.cancel();
  await stopped;
  expect(startedUs).toBe(5);
  await clock.advance(2000);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("a call that nobody waits for takes no place", async () => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 1 });
  const call = newCall(clock);
  call.cancel();
  await expect(queue.run(call, () => clock.sleep(1))).rejects.toMatchObject({ code: "CANCELLED" });
  expect(queue.running).toBe(0);
});

test("never runs more than its capacity, starts in order of arrival, and loses no worker", async () => {
  const arrival = fc.record({
    afterUs: fc.nat({ max: 30 }),
    workUs: fc.nat({ max: 60 }),
    timeoutUs: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
    cancelAfterUs: fc.option(fc.nat({ max: 100 }), { nil: undefined }),
    fails: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(arrival, { maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat({ max: 10 }),
      async (arrivals, capacity, queueMax) => {
        const clock = new ManualClock();
        const queue = new WorkQueue({ capacity, queueMax });
        const started: number[] = [];
        let settledCalls = 0;
        const settle = (): void => void settledCalls++;
        for (const [index, { afterUs, workUs, timeoutUs, cancelAfterUs, fails }] of arrivals.entries()) {
          await clock.advance(afterUs);
          const call = newCall(clock, timeoutUs);
          const before = [queue.running, queue.waiting];
          queue
            .run(call, async () => {
              expect(call.isCancelled).toBe(false);
              started.push(index);
              await clock.sleep(workUs);
              if (fails) throw new Error("as told");
            })
            .then(settle, settle);
          // A worker is never idle while somebody waits.
          if (before[0]! < capacity) expect(queue.waiting).toBe(before[1]);
          if (cancelAfterUs !== undefined) clock.after(cancelAfterUs, () => call.cancel());
          expect(queue.running).toBeLessThanOrEqual(capacity);
          expect(queue.waiting).toBeLessThanOrEqual(queueMax);
          if (queue.waiting > 0) expect(queue.running).toBe(capacity);
        }
        await clock.advance(10_000);
        expect(started).toEqual([...started].sort((a, b) => a - b));
        expect(settledCalls).toBe(arrivals.length);
        expect([queue.running, queue.waiting]).toEqual([0, 0]);
      },
    ),
  );
});

/** The order in which five calls have their turns that came 10 ms apart while the only worker was busy. */
async function turns(options: WorkQueueOptions, beforeMs: number): Promise<string> {
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 1, ...options });
  const begun: string[] = [];
  const come = (name: string, us: number): void =>
    void queue
      .run(newCall(clock), () => {
        begun.push(name);
        return clock.sleep(us);
      })
      .catch(() => begun.push(`${name} refused`));
  come("first", beforeMs * 1000 + 50_000);
  await clock.advance(beforeMs * 1000);
  for (const name of ["a", "b", "c"]) {
    come(name, 10_000);
    await clock.advance(10_000);
  }
  await clock.advance(1_000_000);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
  return begun.slice(1).join(" ");
}

test("whose turn is next: who came first, who came last, or that once somebody has stood there for 100 ms", async () => {
  expect(await turns({}, 10)).toBe("a b c");
  expect(await turns({ order: "lifo" }, 10)).toBe("c b a");
  expect(await turns({ order: "adaptive" }, 10)).toBe("a b c");
  const clock = new ManualClock();
  const queue = new WorkQueue({ capacity: 1, order: "adaptive" });
  const begun: string[] = [];
  for (const name of ["first", "a", "b", "c"]) {
    void queue.run(newCall(clock), () => {
      begun.push(name);
      return clock.sleep(120_000);
    });
  }
  await clock.advance(1_000_000);
  expect(begun).toEqual(["first", "c", "b", "a"]);
});

test("CoDel refuses from a queue that stands, and leaves one alone that doesn't", async () => {
  const run = async (everyUs: number): Promise<number> => {
    const clock = new ManualClock();
    const queue = new WorkQueue({ capacity: 1, codel: {} });
    let refused = 0;
    for (let call = 0; call < 100; call++) {
      void queue
        .run(newCall(clock), () => clock.sleep(10_000))
        .catch((error: unknown) => {
          expect(error).toMatchObject({ code: "RESOURCE_EXHAUSTED", policy: "queue" });
          refused++;
        });
      await clock.advance(everyUs);
    }
    await clock.advance(2_000_000);
    expect([queue.running, queue.waiting]).toEqual([0, 0]);
    return refused;
  };
  expect(await run(10_000)).toBe(0);
  expect(await run(5_000)).toBeGreaterThan(5);
});

test("a turn that comes after the call's deadline is none, although no timer has said so", async () => {
  const clock = new ManualClock();
  const deaf = {
    nowUs: () => clock.nowUs(),
    wallMs: () => 0,
    sleep: () => new Promise<void>(() => undefined),
    after: () => () => undefined,
  };
  const queue = new WorkQueue({ capacity: 1 });
  void queue.run(newCall(clock), () => clock.sleep(100));
  let hasBegun = false;
  const late = queue.run(new Call({ clock: deaf, service: "orders", method: "/x", timeoutUs: 50 }), async () => {
    hasBegun = true;
  });
  const refused = expect(late).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await clock.advance(100);
  await refused;
  expect([hasBegun, queue.running, queue.waiting]).toEqual([false, 0, 0]);
});
