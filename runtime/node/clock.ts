import type { Clock } from "../ports/clock.ts";

/** A longer delay overflows Node's timers and would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * The machine's time. `nowUs` reads CLOCK_MONOTONIC, whose zero all processes of one machine share. Timers never fire early;
 * they are typically up to 1.2 ms late, because Node's own have a resolution of 1 ms and may fire up to 1 ms before they are
 * due. Finer would mean polling, which costs a busy machine more than the precision is worth. A pending timer keeps the process alive:
 * somebody waits for it.
 */
export function systemClock(): Clock {
  return { nowUs, after, sleep, wallMs: () => Date.now() };
}

/**
 * Microseconds since the epoch at the clock's zero, for those who must send a moment beyond this machine. It is the same in all
 * processes of a machine, to within the moment between two readings, because the wall clock and the monotonic one run at one
 * speed; of several readings the quickest is the best.
 */
export function epochOf(clock: Clock): number {
  let best = { tookUs: Infinity, epochUs: 0 };
  for (let tries = 0; tries < 8; tries++) {
    const beforeUs = clock.nowUs();
    const wallUs = (performance.timeOrigin + performance.now()) * 1000;
    const afterUs = clock.nowUs();
    const tookUs = afterUs - beforeUs;
    if (tookUs < best.tookUs) best = { tookUs, epochUs: Math.round(wallUs - (beforeUs + afterUs) / 2) };
  }
  return best.epochUs;
}

function nowUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}

function after(delayUs: number, fn: () => void): () => void {
  if (delayUs <= 0) {
    const immediate = setImmediate(fn);
    return () => clearImmediate(immediate);
  }
  const dueUs = nowUs() + delayUs;
  let timer = setTimeout(check, timerMs(delayUs));
  function check(): void {
    const leftUs = dueUs - nowUs();
    if (leftUs <= 0) fn();
    else timer = setTimeout(check, timerMs(leftUs));
  }
  return () => clearTimeout(timer);
}

const timerMs = (us: number): number => Math.min(Math.ceil(us / 1000), longestTimerMs);

function sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = after(delayUs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
