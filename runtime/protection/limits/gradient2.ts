import type { LimitAlgorithm, LimitBounds, Sample } from "./limit.ts";

export interface Gradient2Settings extends LimitBounds {
  /** How much longer than usual calls may take before the limit falls. Default 1.5. */
  readonly tolerance?: number | undefined;
  /** Calls that may wait. Default 4. */
  readonly queue?: number | undefined;
  /** The weight of a new value against the old. Default 0.2. */
  readonly smoothing?: number | undefined;
  /** Samples over which the usual time is averaged. Default 600. */
  readonly longWindow?: number | undefined;
}

/** Samples of which the long average is a plain mean. */
const warmUp = 10;

/**
 * Netflix's Gradient2 (concurrency-limits): each call's time against a long exponential average of it.
 *
 *     gradient = clamp(tolerance · long / short, 0.5, 1)
 *     limit'   = (1 − smoothing) · limit + smoothing · (limit · gradient + queue)
 *
 * Where the long average is over twice the short it is shortened by 5 %, so that an overload that is over is forgotten; while less
 * than half of the limit is in use nothing is learnt. From 20, between 20 and 200.
 */
export class Gradient2 implements LimitAlgorithm {
  readonly #tolerance: number;
  readonly #queue: number;
  readonly #smoothing: number;
  readonly #factor: number;
  readonly #min: number;
  readonly #max: number;
  #samples = 0;
  limit: number;
  /** The usual time of a call, in microseconds. */
  longUs = 0;

  constructor(settings: Gradient2Settings) {
    const {
      initial = 20,
      min = 20,
      max = 200,
      tolerance = 1.5,
      queue = 4,
      smoothing = 0.2,
      longWindow = 600,
    } = settings;
    this.limit = initial;
    this.#min = min;
    this.#max = max;
    this.#tolerance = tolerance;
    this.#queue = queue;
    this.#smoothing = smoothing;
    this.#factor = 2 / (longWindow + 1);
  }

  sample({ rttUs, inFlight }: Sample): void {
    const shortUs = Math.max(1, rttUs);
    this.#average(shortUs);
    if (this.longUs / shortUs > 2) this.longUs *= 0.95;
    if (inFlight < this.limit / 2) return;
    this.limit = this.next(this.longUs, shortUs);
  }

  /** The limit that follows, by these averages. */
  next(longUs: number, shortUs: number): number {
    const gradient = Math.max(0.5, Math.min(1, (this.#tolerance * longUs) / shortUs));
    const wanted = this.limit * gradient + this.#queue;
    const smooth = this.limit * (1 - this.#smoothing) + wanted * this.#smoothing;
    return Math.min(this.#max, Math.max(this.#min, smooth));
  }

  #average(shortUs: number): void {
    if (this.#samples < warmUp) {
      this.longUs = (this.longUs * this.#samples + shortUs) / (this.#samples + 1);
      this.#samples++;
    } else {
      this.longUs = this.longUs * (1 - this.#factor) + shortUs * this.#factor;
    }
  }
}
