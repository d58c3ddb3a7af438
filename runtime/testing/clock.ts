import type { Clock } from "../ports/clock.ts";

/** A clock for tests: time stands still until `advance` moves it, timers fire in the order in which they are due. */
export class ManualClock implements Clock {
  #nowUs = 0;
  #timers: { readonly atUs: number; readonly fn: () => void }[] = [];

  nowUs(): number {
    return this.#nowUs;
  }

  wallMs(): number {
    return Math.floor(this.#nowUs / 1000);
  }

  after(delayUs: number, fn: () => void): () => void {
    const timer = { atUs: this.#nowUs + Math.max(0, Math.round(delayUs)), fn };
    // After those that are due at the same time: first come, first served.
    const later = this.#timers.findIndex(({ atUs }) => atUs > timer.atUs);
    this.#timers.splice(later < 0 ? this.#timers.length : later, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  sleep(delayUs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.after(delayUs, resolve);
      signal?.addEventListener("abort", () => {
        cancel();
        reject(signal.reason as Error);
      });
    });
  }

  /** Moves time on and fires what is due, giving promises a chance to run in between. */
  async advance(byUs: number): Promise<void> {
    const untilUs = this.#nowUs + byUs;
    await settled();
    for (;;) {
      const next = this.#timers[0];
      if (next === undefined || next.atUs > untilUs) break;
      this.#timers.shift();
      this.#nowUs = next.atUs;
      next.fn();
      await settled();
    }
    this.#nowUs = untilUs;
  }

  /** Timers that wait: a test of something that has ended expects none. */
  get pending(): number {
    return this.#timers.length;
  }
}

/** Resolves when chains of promises that can go on without time have done so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
