import { spawnSync } from "node:child_process";

import { expect, test } from "vitest";

import { epochOf, systemClock } from "./clock.ts";

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
  const cancels = [2 ** 31 * 1000 * 3, Infinity].map((delayUs) => clock.after(delayUs, () => (isCalled = true)));
  await clock.sleep(20_000);
  for (const cancel of cancels) cancel();
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

test("calls in the order in which they are due", async () => {
  const called: { readonly fromUs: number; readonly untilUs: number }[] = [];
  const one = (delayUs: number): Promise<void> =>
    new Promise((resolve) => {
      const fromUs = clock.nowUs() + delayUs;
      clock.after(delayUs, () => resolve(void called.push({ fromUs, untilUs })));
      const untilUs = clock.nowUs() + delayUs;
    });
  await Promise.all([3000, 1000, 2000, 1000, 60_000, 500, 30_000, 300].map(one));
  for (const [index, { untilUs }] of called.slice(1).entries()) {
    expect(called[index]!.fromUs).toBeLessThanOrEqual(untilUs);
  }
});

test("what a timer's promises lead to comes before the next timer, and may take it back, however late both are", async () => {
  const called: string[] = [];
  const dueUs = clock.nowUs() + 2_000;
  const first = clock.sleep(1_000).then(async () => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    called.push("first");
    cancel();
  });
  const cancel = clock.after(2_000, () => called.push("second"));
  clock.after(2_000, () => called.push("third"));
  while (clock.nowUs() < dueUs + 1_000);
  await first;
  await clock.sleep(1_000);
  expect(called).toEqual(["first", "third"]);
});

/** What a process prints that runs this with a clock, and how it ends. */
function run(program: string): { readonly stdout: string; readonly status: number | null } {
  const module = JSON.stringify(new URL("clock.ts", import.meta.url).href);
  const source = `import { systemClock } from ${module}; const clock = systemClock(); ${program}`;
  return spawnSync(process.execPath, ["--input-type=module", "-e", source], { encoding: "utf8", timeout: 20_000 });
}

test("a timer that waits keeps the process alive, and one that was taken back doesn't", () => {
  const { stdout, status } = run(`
    clock.after(60_000_000, () => console.log("never"))();
    clock.after(30_000, () => {
      console.log("waited");
      clock.after(60_000_000, () => console.log("never"))();
    });
  `);
  expect({ stdout, status }).toEqual({ stdout: "waited\n", status: 0 });
});

test("a timer that throws takes nothing from those behind it", () => {
  const { stdout } = run(`
    process.on("uncaughtException", (error) => console.log(error.message));
    for (const name of ["first", "second", "third"]) {
      clock.after(5_000, () => {
        if (name === "second") throw new Error("it broke");
        console.log(name);
      });
    }
  `);
  expect(stdout).toBe("first\nit broke\nthird\n");
});

test("a sleep ends with its signal's reason", async () => {
  const reason = new Error("enough");
  await expect(clock.sleep(60_000_000, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const sleep = clock.sleep(60_000_000, controller.signal);
  controller.abort(reason);
  await expect(sleep).rejects.toBe(reason);
});

test("the epoch is that of the wall clock to a fraction of its tick, however late the process knew when it began", () => {
  const { timeOrigin } = performance;
  try {
    Object.defineProperty(performance, "timeOrigin", { value: timeOrigin + 12, configurable: true, writable: true });
    const epochUs = epochOf(clock);
    // Of many looks the one that was kept waiting least between its two readings: the wall clock is behind by what it doesn't show.
    const aheadUs = Array.from({ length: 1000 }, () => epochUs + clock.nowUs() - Date.now() * 1000);
    expect(Math.max(...aheadUs)).toBeGreaterThan(-1_000);
    expect(Math.max(...aheadUs)).toBeLessThan(3_000);
  } finally {
    delete (performance as { timeOrigin?: number }).timeOrigin;
    expect(performance.timeOrigin).toBe(timeOrigin);
  }
});
