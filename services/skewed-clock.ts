import type { Clock } from "../runtime/ports/clock.ts";

/** How far a wall clock is off: `byMs` from `sinceUs` on (of the monotonic clock), and `msPerSecond` more with each second after that. */
export interface ClockSkew {
  readonly byMs: number;
  readonly msPerSecond: number;
  readonly sinceUs: number;
}

/** A clock whose wall time is wrong; several skews add up. Its monotonic time and its timers are those of the clock behind it. */
export class SkewedClock implements Clock {
  readonly #clock: Clock;
  skews: readonly ClockSkew[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowUs(): number {
    return this.#clock.nowUs();
  }

  after(delayUs: number, fn: () => void): () => void {
    return this.#clock.after(delayUs, fn);
  }

  sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(delayUs, signal);
  }

  wallMs(): number {
    const nowUs = this.#clock.nowUs();
    const offMs = this.skews.reduce(
      (sum, { byMs, msPerSecond, sinceUs }) => sum + byMs + (Math.max(0, nowUs - sinceUs) / 1_000_000) * msPerSecond,
      0,
    );
    return this.#clock.wallMs() + Math.round(offMs);
  }
}
