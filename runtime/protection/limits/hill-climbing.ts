import { ln } from "../../numbers.ts";
import type { LimitAlgorithm, LimitBounds, Sample } from "./limit.ts";

const roundMinUs = 1_000_000;
const roundMaxUs = 32_000_000;

/** How much slower than at best, in milliseconds or in percent of the best, is slower: by the best time. */
const slower = [
  { belowMs: 5, byMs: 3, percent: 80 },
  { belowMs: 10, byMs: 2, percent: 30 },
  { belowMs: 50, byMs: 5, percent: 20 },
  { belowMs: 100, byMs: 10, percent: 10 },
  { belowMs: Infinity, byMs: 20, percent: 5 },
] as const;

/**
 * Hill climbing, as dubbo-go's adaptive service limits its providers (3.3.2, filter/adaptivesvc/limiter/hill_climbing.go). Calls are
 * gathered in rounds of a second, twice as long after every fall, up to 32 s. After a round of n calls of `rtt` on average
 *
 *     capacity = n · round / rtt,   α = 1.5 · ln(limit),   β = 0.8 · ln(limit),   d = max(1, log2(round / 1 s))
 *
 * - it grows when 1.5 · capacity exceeds the limit, and after the first round: by α / d while rounds are a second, by β / d later;
 * - a round with more calls a second than any before is the best one: its limit, capacity and time are remembered;
 * - one that isn't, whose capacity is over 10 % and over 5 below the best one's, and which is slower: the limit falls to that of the best
 *   round, less α / d or β / d. dubbo-go compares 100 · rtt / best with its percentages, so that nearly every such round is "slower";
 *   so it does here.
 *
 * From 50, between 1 and 500.
 */
export class HillClimbing implements LimitAlgorithm {
  readonly #min: number;
  readonly #max: number;
  readonly #nowUs: () => number;
  #roundUs = roundMinUs;
  #beganUs: number;
  #calls = 0;
  #meanUs = 0;
  #best = { perSecond: 0, capacity: 0, meanUs: Infinity, limit: 0 };
  limit: number;

  constructor({ initial = 50, min = 1, max = 500 }: LimitBounds, nowUs: () => number) {
    this.limit = initial;
    this.#min = min;
    this.#max = max;
    this.#nowUs = nowUs;
    this.#beganUs = nowUs();
  }

  /** Who was refused teaches nothing: the limit follows from what was served. */
  sample({ rttUs, isDropped }: Sample): void {
    if (isDropped) return;
    const nowUs = this.#nowUs();
    const us = Math.max(1, rttUs);
    if (nowUs - this.#beganUs <= this.#roundUs && this.#meanUs > 0) {
      this.#meanUs = (this.#meanUs * this.#calls + us) / (this.#calls + 1);
      this.#calls++;
      return;
    }
    if (this.#meanUs > 0) this.#climb();
    // The call that ends a round is the next one's first estimate, and isn't counted.
    this.#calls = 0;
    this.#meanUs = us;
    this.#beganUs = nowUs;
  }

  #climb(): void {
    const isQuick = this.#roundUs === roundMinUs;
    const capacity = (this.#calls * this.#roundUs) / this.#meanUs;
    const perSecond = Math.floor((this.#calls * 1_000_000) / this.#roundUs);
    const best = this.#best;
    let wanted: "more" | "less" | undefined;
    if (best.meanUs === Infinity || Math.floor(capacity * 1.5) > Math.floor(this.limit)) wanted = "more";
    if (perSecond > best.perSecond) {
      this.#best = { perSecond, capacity, meanUs: this.#meanUs, limit: Math.floor(this.limit) };
    } else if (this.#hasFallen(capacity)) {
      wanted = "less";
      this.#roundUs = Math.min(2 * this.#roundUs, roundMaxUs);
    }
    if (wanted === undefined) return;
    const step = ((isQuick ? 1.5 : 0.8) * ln(this.limit)) / Math.max(1, ln(this.#roundUs / 1_000_000) / ln(2));
    const next = wanted === "more" ? Math.floor(this.limit) + step : this.#best.limit - step;
    this.limit = Math.floor(Math.max(this.#min, Math.min(this.#max, next)));
  }

  #hasFallen(capacity: number): boolean {
    const { capacity: bestCapacity, meanUs: bestUs } = this.#best;
    const less = bestCapacity - capacity;
    if (!(less > 5 && Math.floor((100 * less) / bestCapacity) > 10)) return false;
    const { byMs, percent } = slower.find(({ belowMs }) => bestUs / 1000 < belowMs)!;
    return (this.#meanUs - bestUs) / 1000 > byMs || (100 * this.#meanUs) / bestUs >= percent;
  }
}
