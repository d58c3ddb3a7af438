export interface CodelSettings {
  /** Waiting that is good: it keeps workers busy. In milliseconds. Default 5. */
  readonly targetMs?: number | undefined;
  /** How long waiting may be over the target before something is dropped. In milliseconds. Default 100. */
  readonly intervalMs?: number | undefined;
}

/**
 * Controlled delay (Nichols and Jacobson 2012, RFC 8289), for a queue of calls: when each that leaves the queue has waited for more
 * than `targetMs` throughout an `intervalMs`, one is dropped, and the next ones `interval / √count` apart, until one has waited for less. A
 * queue that absorbs a burst is left alone; one that stands is drained.
 */
export class Codel {
  readonly #targetUs: number;
  readonly #intervalUs: number;
  /** When waiting will have been too long for an interval; undefined while it isn't too long. */
  #firstAboveUs: number | undefined;
  #isDropping = false;
  #dropNextUs = 0;
  #count = 0;

  constructor({ targetMs = 5, intervalMs = 100 }: CodelSettings = {}) {
    this.#targetUs = targetMs * 1000;
    this.#intervalUs = intervalMs * 1000;
  }

  /** Whether the call that leaves the queue now, having waited for `waitedUs`, is dropped. `isLast`: nobody waits behind it. */
  drops(waitedUs: number, nowUs: number, isLast: boolean): boolean {
    const isTooLong = this.#isTooLong(waitedUs, nowUs, isLast);
    if (!isTooLong) {
      this.#isDropping = false;
      return false;
    }
    if (this.#isDropping) {
      if (nowUs < this.#dropNextUs) return false;
      this.#count++;
      this.#dropNextUs += this.#spacing();
      return true;
    }
    this.#isDropping = true;
    // Shortly after the last time it goes on about where it was: that rate was about right.
    const isRecent = nowUs - this.#dropNextUs < 16 * this.#intervalUs;
    this.#count = isRecent && this.#count > 2 ? this.#count - 2 : 1;
    this.#dropNextUs = nowUs + this.#spacing();
    return true;
  }

  #isTooLong(waitedUs: number, nowUs: number, isLast: boolean): boolean {
    if (waitedUs < this.#targetUs || isLast) {
      this.#firstAboveUs = undefined;
      return false;
    }
    if (this.#firstAboveUs === undefined) {
      this.#firstAboveUs = nowUs + this.#intervalUs;
      return false;
    }
    return nowUs >= this.#firstAboveUs;
  }

  #spacing(): number {
    return this.#intervalUs / Math.sqrt(this.#count);
  }
}
