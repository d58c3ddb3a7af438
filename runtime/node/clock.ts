import type { Clock } from "../ports/clock.ts";
import { Scheduled, Wheel } from "../timing-wheel.ts";

/** A longer delay overflows Node's timers and would fire at once. */
const longestTimerMs = 2 ** 31 - 1;
/** A longer delay, up to Infinity, is as good as never: a century. */
const longestUs = 100 * 365 * 86_400 * 1_000_000;

/**
 * The machine's time. `nowUs` is CLOCK_MONOTONIC, whose zero all processes of one machine share. Timers never fire early;
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
 * speed. It takes up to 4 ms: the wall clock shows milliseconds, and is exact when they change. (`performance.timeOrigin` is finer, and as
 * far off as its process was kept waiting when it began.)
 */
export function epochOf(clock: Clock): number {
  let best = { tookUs: Infinity, epochUs: 0 };
  for (let tries = 0; tries < 4; tries++) {
    const beginMs = Date.now();
    let beforeUs: number;
    let wallMs: number;
    do {
      beforeUs = clock.nowUs();
      wallMs = Date.now();
    } while (wallMs === beginMs);
    const afterUs = clock.nowUs();
    if (afterUs - beforeUs < best.tookUs) {
      best = { tookUs: afterUs - beforeUs, epochUs: wallMs * 1000 - (beforeUs + afterUs) / 2 };
    }
  }
  return Math.round(best.epochUs);
}

/** A reading of `performance` costs a fraction of one of `process.hrtime`, and leaves no garbage; a call needs a dozen. */
function nowUs(): number {
  return Math.floor(zeroUs + performance.now() * 1000);
}

/** Where `performance` of this process began, on CLOCK_MONOTONIC. */
const zeroUs = quickest(
  () => performance.now() * 1000,
  () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1_000_000 + nanoseconds / 1000;
  },
);

/** How far `other` is ahead of `own`: of several looks the quickest, because least happened between its readings. */
function quickest(own: () => number, other: () => number): number {
  let best = { tookUs: Infinity, aheadUs: 0 };
  for (let tries = 0; tries < 8; tries++) {
    const beforeUs = own();
    const otherUs = other();
    const afterUs = own();
    const tookUs = afterUs - beforeUs;
    if (tookUs < best.tookUs) best = { tookUs, aheadUs: otherUs - (beforeUs + afterUs) / 2 };
  }
  return best.aheadUs;
}

/** Calls `fn` when its tick has come. */
class Timer extends Scheduled {
  readonly fn: () => void;

  constructor(fn: () => void) {
    super();
    this.fn = fn;
  }
}

/**
 * All timers of the process, behind one of Node's: nearly every deadline is taken back, and here that costs a link less. It is set for the
 * first of them; where that one is taken back, it fires for nothing, once.
 */
const wheel = new Wheel<Timer>(nowUs());
let native: NodeJS.Timeout | undefined;
let nativeDueUs = Infinity;

function after(delayUs: number, fn: () => void): () => void {
  // Also what is no number: nobody waits for that.
  if (!(delayUs > 0)) {
    const immediate = setImmediate(fn);
    return () => clearImmediate(immediate);
  }
  const timer = new Timer(fn);
  const beganUs = nowUs();
  const dueUs = beganUs + Math.ceil(Math.min(delayUs, longestUs));
  wheel.insert(timer, dueUs);
  if (dueUs < nativeDueUs) setNative(dueUs, beganUs);
  // Somebody waits again.
  else if (wheel.size === 1) native?.ref();
  return () => {
    if (wheel.cancel(timer) && wheel.size === 0) native?.unref();
  };
}

function setNative(dueUs: number, atUs: number): void {
  clearTimeout(native);
  nativeDueUs = dueUs;
  native = setTimeout(fire, timerMs(Math.max(0, dueUs - atUs)));
}

function fire(): void {
  native = undefined;
  // Nobody sets another one meanwhile.
  nativeDueUs = -Infinity;
  callDue(nowUs());
}

/**
 * One after the other, and between two of them whatever the promises of the first lead to, as with Node's own: it may take the second back.
 */
function callDue(atUs: number): void {
  try {
    wheel.pop(atUs)?.fn();
  } finally {
    // Also when it threw: those behind it are still due. Ticks come before promises, unless a promise asks for them.
    if (wheel.firstTick <= atUs) queueMicrotask(() => process.nextTick(callDue, atUs));
    else {
      nativeDueUs = Infinity;
      if (wheel.size > 0) setNative(wheel.firstTick, nowUs());
    }
  }
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
