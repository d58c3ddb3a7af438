import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { DiskError, type Disk } from "../runtime/ports/disk.ts";
import { silent } from "../runtime/ports/telemetry.ts";
import type { DiskUse, RuntimeEvent } from "../runtime/telemetry/events.ts";
import { ManualClock } from "../runtime/testing/clock.ts";
import { FaultyDisk } from "./faulty-disk.ts";
import { Machine } from "./machine.ts";
import { SkewedClock } from "./skewed-clock.ts";

/** Files in memory, each with how much of it is durable. */
class MemoryDisk implements Disk {
  readonly files = new Map<string, string>();
  readonly durable = new Map<string, string>();

  async read(name: string): Promise<Uint8Array | undefined> {
    const text = this.files.get(name);
    return text === undefined ? undefined : bytesOf(text);
  }
  async append(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, (this.files.get(name) ?? "") + textOf(bytes));
  }
  async sync(name: string): Promise<void> {
    const text = this.files.get(name);
    if (text !== undefined) this.durable.set(name, text);
  }
  async rename(from: string, to: string): Promise<void> {
    if (!this.files.has(from)) throw new DiskError(`there is no file ${from}`, { code: "IO" });
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
  }
  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes);

function disk(): { readonly inner: MemoryDisk; readonly faulty: FaultyDisk; readonly clock: ManualClock } {
  const [inner, clock] = [new MemoryDisk(), new ManualClock()];
  return { inner, clock, faulty: new FaultyDisk(inner, clock) };
}

/** Whether it has ended, when everything that can happen now has happened. */
async function isDone(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  work.then(
    () => (done = true),
    () => (done = true),
  );
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  return done;
}

describe("a wall clock", () => {
  test("is off by all of its skews together, whatever they are; the monotonic one never is", () => {
    const skew = fc.record({
      byMs: fc.integer({ min: -1e9, max: 1e9 }),
      msPerSecond: fc.integer({ min: -1000, max: 10_000 }),
      sinceUs: fc.integer({ min: 0, max: 1e7 }),
    });
    fc.assert(
      fc.property(fc.array(skew, { maxLength: 4 }), fc.integer({ min: 0, max: 1e8 }), (skews, nowUs) => {
        const inner = { ...silentClock, nowUs: () => nowUs, wallMs: () => 1_700_000_000_000 };
        const clock = new SkewedClock(inner);
        clock.skews = skews;
        let offMs = 0;
        for (const { byMs, msPerSecond, sinceUs } of skews)
          offMs += byMs + (nowUs > sinceUs ? ((nowUs - sinceUs) / 1e6) * msPerSecond : 0);
        expect(clock.nowUs()).toBe(nowUs);
        expect(Number.isInteger(clock.wallMs())).toBe(true);
        expect(Math.abs(clock.wallMs() - 1_700_000_000_000 - offMs)).toBeLessThanOrEqual(0.51);
      }),
    );
  });

  test("that steps while somebody waits makes him wait no shorter and no longer", async () => {
    const inner = new ManualClock();
    const clock = new SkewedClock(inner);
    const waiting = clock.sleep(1_000_000);
    clock.skews = [{ byMs: 3_600_000, msPerSecond: 0, sinceUs: 0 }];
    await inner.advance(999_999);
    expect(await isDone(waiting)).toBe(false);
    await inner.advance(1);
    expect(await isDone(waiting)).toBe(true);
  });
});

const silentClock = {
  nowUs: () => 0,
  wallMs: () => 0,
  after: () => () => undefined,
  sleep: () => Promise.resolve(),
};

describe("a disk", () => {
  test("that is full takes nothing, keeps what it has, and takes more when it isn't", async () => {
    const { faulty, inner } = disk();
    await faulty.append("a", bytesOf("one"));
    await faulty.become([{ kind: "full" }]);
    await expect(faulty.append("a", bytesOf("two"))).rejects.toMatchObject({ code: "FULL" });
    expect(textOf(await faulty.read("a"))).toBe("one");
    await faulty.become([]);
    await faulty.append("a", bytesOf("three"));
    expect(inner.files.get("a")).toBe("onethree");
  });

  test("that is slow does one thing after the other, in their order, though it gets fast meanwhile", async () => {
    const { faulty, inner, clock } = disk();
    await faulty.become([{ kind: "slow", delayMs: 100 }]);
    const first = faulty.append("a", bytesOf("1"));
    expect(await isDone(first)).toBe(false);
    await faulty.become([]);
    const second = faulty.append("a", bytesOf("2"));
    expect(await isDone(second)).toBe(false);
    await clock.advance(100_000);
    await Promise.all([first, second]);
    expect(inner.files.get("a")).toBe("12");
  });

  test("whose power goes in a write has a part of it, durably, and answers nothing any more", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 2 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        async (text, keep) => {
          const { faulty, inner } = disk();
          await faulty.append("a", bytesOf("before"));
          const torn = faulty.become([{ kind: "torn", keep }]);
          const write = faulty.append("a", bytesOf(text));
          await torn;
          expect(await isDone(Promise.any([write, faulty.read("a"), faulty.sync("a")]))).toBe(false);
          const { length } = bytesOf(inner.durable.get("a")!);
          expect(length).toBeGreaterThan(6);
          expect(length).toBeLessThan(6 + bytesOf(text).length);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("whose cache is lost forgets what wasn't synced, and reads it until then", async () => {
    const { faulty, inner } = disk();
    await faulty.append("a", bytesOf("kept"));
    await faulty.sync("a");
    const lost = faulty.become([{ kind: "unsynced" }]);
    await faulty.append("a", bytesOf(" lost"));
    expect(textOf(await faulty.read("a"))).toBe("kept lost");
    const sync = faulty.sync("a");
    await lost;
    expect(await isDone(sync)).toBe(false);
    expect(inner.files.get("a")).toBe("kept");
  });

  test("whose cache was spared writes it down in order when all is well again", async () => {
    const { faulty, inner, clock } = disk();
    const armed = faulty.become([{ kind: "unsynced" }]);
    await faulty.append("a", bytesOf("1"));
    await faulty.rename("a", "b");
    await clock.advance(1_000_000);
    // Nobody wanted to be sure of anything within a second.
    await armed;
    await faulty.become([]);
    await faulty.append("b", bytesOf("2"));
    await faulty.sync("b");
    expect(inner.durable.get("b")).toBe("12");
  });
});

test("a machine that nobody means to break is left as it is", () => {
  const machine = new Machine({}, silent);
  const { inner, clock } = disk();
  expect([machine.clock(clock), machine.disk(inner, clock)]).toEqual([clock, inner]);
});

test("what a node does with its disk is reported with the file's length, an append before it is done too", async () => {
  const events: RuntimeEvent[] = [];
  const { inner, clock } = disk();
  const seen = new Machine({ disk: [] }, { emit: (event) => events.push(event) }).disk(inner, clock);
  await seen.read("a");
  await seen.append("a", bytesOf("four"));
  await seen.append("a", bytesOf("!"));
  await expect(seen.rename("none", "b")).rejects.toMatchObject({ code: "IO" });
  const told = (events as DiskUse[]).map((use) => [use.operation, use.state, use.length, use.code]);
  expect(told).toEqual([
    ["read", "done", 0, undefined],
    ["append", "begun", 0, undefined],
    ["append", "done", 4, undefined],
    ["append", "begun", 4, undefined],
    ["append", "done", 5, undefined],
    ["rename", "failed", undefined, "IO"],
  ]);
});
