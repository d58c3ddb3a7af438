import { ln } from "../../numbers.ts";
import type { Random } from "../../ports/random.ts";
import type { LimitAlgorithm, LimitBounds, Sample } from "./limit.ts";

/** After so many samples times the limit (and a share from 0.5 to 1) the shortest time is measured anew. */
const probeEvery = 30;

/**
 * TCP Vegas (Brakmo and Peterson 1995) as Netflix's concurrency-limits has it: the queue is estimated as
 * `ceil(limit · (1 − shortest / rtt))` and held between 3·lg and 6·lg of the limit (lg: the integer part of log10, at least 1).
 * Grows by 6·lg while there is hardly a queue, by lg below the lower bound, shrinks by lg above the upper one and after a drop.
 * From 20, between 1 and 1000.
 */
export class Vegas implements LimitAlgorithm {
  readonly #random: Random;
  readonly #min: number;
  readonly #max: number;
  #shortestUs = 0;
  #samples = 0;
  #jitter: number;
  limit: number;

  constructor({ initial = 20, min = 1, max = 1000 }: LimitBounds, random: Random) {
    this.limit = initial;
    this.#min = min;
    this.#max = max;
    this.#random = random;
    this.#jitter = this.#draw();
  }

  sample({ rttUs, inFlight, isDropped }: Sample): void {
    const us = Math.max(1, rttUs);
    this.#samples++;
    if (this.#samples >= this.#jitter * probeEvery * this.limit) {
      this.#samples = 0;
      this.#jitter = this.#draw();
      this.#shortestUs = us;
      return;
    }
    if (this.#shortestUs === 0 || us < this.#shortestUs) {
      this.#shortestUs = us;
      return;
    }
    this.limit = Math.min(this.#max, Math.max(this.#min, this.next(us, inFlight, isDropped)));
  }

  /** The limit that follows a call of this time. */
  next(rttUs: number, inFlight: number, isDropped: boolean, shortestUs = this.#shortestUs): number {
    const { limit } = this;
    const lg = Math.max(1, Math.floor(ln(limit) / ln10));
    if (isDropped) return limit - lg;
    if (inFlight * 2 < limit) return limit;
    const queue = Math.ceil(limit * (1 - shortestUs / rttUs));
    if (queue <= lg) return limit + 6 * lg;
    if (queue < 3 * lg) return limit + lg;
    if (queue > 6 * lg) return limit - lg;
    return limit;
  }

  #draw(): number {
    return 0.5 + this.#random.float() / 2;
  }
}

const ln10 = ln(10);
