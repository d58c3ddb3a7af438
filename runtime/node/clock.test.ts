import { spawnSync } from "node:child_process";

import { expect, test } from "vitest";

import { systemClock } from "./clock.ts";

const clock = systemClock();

test("counts whole microseconds from a zero that other processes share", () => {
  const before = clock.nowUs();
  const { stdout } = spawnSync(process.execPath, ["-p", "process.hrtime.bigint() / 1000n"], { encoding: "utf8" });
  const other = Number.parseInt(stdout, 10);
  expect(Number.isSafeInteger(before)).toBe(true);
  expect(other).toBeGreaterThan(before);
  expect(other).toBeLessThan(clock.nowUs());
});

test("never calls early", async () => {
  const delays = Array.from({ length: 300 }, (_, index) => index * 97);
  const early = await Promise.all(
    delays.map(async (delayUs) => {
      const dueUs = clock.nowUs() + delayUs;
      await clock.sleep(delayUs);
      return clock.nowUs() < dueUs;
    }),
  );
  expect(early).not.toContain(true);
});

test("waits for longer than Node's timers can", async () => {
  let isCalled = false;
  const cancel = clock.after(2 ** 31 * 1000 * 3, () => (isCalled = true));
  await clock.sleep(20_000);
  cancel();
  expect(isCalled).toBe(false);
});

test("calls nothing after a cancel, however often that is repeated", async () => {
  let isCalled = false;
  for (const delayUs of [0, 300, 2_000]) {
    const cancel = clock.after(delayUs, () => (isCalled = true));
    cancel();
    cancel();
  }
  await clock.sleep(10_000);
  expect(isCalled).toBe(false);
});

test("a sleep ends with its signal's reason", async () => {
  const reason = new Error("enough");
  await expect(clock.sleep(60_000_000, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const sleep = clock.sleep(60_000_000, controller.signal);
  controller.abort(reason);
  await expect(sleep).rejects.toBe(reason);
});
