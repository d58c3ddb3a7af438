import type { Clock } from "../ports/clock.ts";

/** How often something may happen that costs this side work and the peer nothing: `burst` at once, then `perSecond`. */
export class Allowance {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perUs: number;
  #left: number;
  #atUs: number;

  constructor(clock: Clock, { burst, perSecond }: { readonly burst: number; readonly perSecond: number }) {
    this.#clock = clock;
    this.#burst = burst;
    this.#perUs = perSecond / 1e6;
    this.#left = burst;
    this.#atUs = clock.nowUs();
  }

  /** Once more; false when it is too much. */
  take(): boolean {
    const nowUs = this.#clock.nowUs();
    this.#left = Math.min(this.#burst, this.#left + (nowUs - this.#atUs) * this.#perUs);
    this.#atUs = nowUs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** It has cost so much more than once: what is to come pays for it. */
  spend(times: number): void {
    this.#left -= times;
  }

  /** Work that was worth it makes up for some that wasn't. */
  earn(times: number): void {
    this.#left = Math.min(this.#burst, this.#left + times);
  }
}
