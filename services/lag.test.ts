import { expect, test } from "vitest";

import type { RuntimeEvent } from "../runtime/telemetry/events.ts";
import { ManualClock } from "../runtime/testing/clock.ts";
import { MemoryDisk } from "../runtime/transactions/testing.ts";
import { FaultyDisk } from "./faulty-disk.ts";
import { timedDisk } from "./lag.ts";

test("a disk that keeps its node waiting for long is told of as lag, and one that doesn't isn't", async () => {
  const clock = new ManualClock();
  const events: RuntimeEvent[] = [];
  const inner = new FaultyDisk(new MemoryDisk(), clock);
  const disk = timedDisk(inner, { clock, telemetry: { emit: (event) => events.push(event) } });
  const written = new Uint8Array([1, 2, 3]);
  for (const delayMs of [0, 99, 150]) {
    await inner.become([{ kind: "slow", delayMs }]);
    const done = Promise.all([disk.append("log", written), disk.sync("log")]);
    await clock.advance(1_000_000);
    await done;
  }
  // Who waits behind another has waited for both.
  expect(events.map((event) => event.type === "lag" && event.maxUs)).toEqual([198_000, 150_000, 300_000]);
  const reading = disk.read("log");
  await clock.advance(1_000_000);
  expect(await reading).toEqual(new Uint8Array([1, 2, 3, 1, 2, 3, 1, 2, 3]));
});

test("what a disk fails with is passed on", async () => {
  const clock = new ManualClock();
  const events: RuntimeEvent[] = [];
  const inner = new FaultyDisk(new MemoryDisk(), clock);
  const disk = timedDisk(inner, { clock, telemetry: { emit: (event) => events.push(event) } });
  await inner.become([{ kind: "full" }]);
  await expect(disk.append("log", new Uint8Array(1))).rejects.toMatchObject({ code: "FULL" });
  expect(events).toEqual([]);
});
