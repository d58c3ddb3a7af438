import type { LimitAlgorithm, Sample } from "./limit.ts";

/** Calls that a window has at least before it counts, and times that are too short to say anything. */
const callsMin = 10;
const rttMinUs = 100;

/**
 * Tells an algorithm of each `windowUs` as one sample (Netflix's WindowedLimit): the mean time, the most calls in flight, and whether
 * any was dropped. Calms what single calls would shake.
 */
export class Windowed implements LimitAlgorithm {
  readonly #inner: LimitAlgorithm;
  readonly #windowUs: number;
  #untilUs: number | undefined;
  #calls = 0;
  #sumUs = 0;
  #inFlight = 0;
  #isDropped = false;
  readonly #nowUs: () => number;

  constructor(inner: LimitAlgorithm, windowUs: number, nowUs: () => number) {
    this.#inner = inner;
    this.#windowUs = windowUs;
    this.#nowUs = nowUs;
  }

  get limit(): number {
    return this.#inner.limit;
  }

  sample({ rttUs, inFlight, isDropped }: Sample): void {
    if (rttUs < rttMinUs && !isDropped) return;
    const nowUs = this.#nowUs();
    this.#untilUs ??= nowUs + this.#windowUs;
    this.#calls++;
    this.#sumUs += rttUs;
    this.#inFlight = Math.max(this.#inFlight, inFlight);
    this.#isDropped ||= isDropped;
    if (nowUs < this.#untilUs || this.#calls < callsMin) return;
    this.#inner.sample({ rttUs: this.#sumUs / this.#calls, inFlight: this.#inFlight, isDropped: this.#isDropped });
    this.#untilUs = undefined;
    this.#calls = 0;
    this.#sumUs = 0;
    this.#inFlight = 0;
    this.#isDropped = false;
  }
}
