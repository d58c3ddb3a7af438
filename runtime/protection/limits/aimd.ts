import type { LimitAlgorithm, LimitBounds, Sample } from "./limit.ts";

export interface AimdSettings extends LimitBounds {
  /** What is left of the limit after a drop. Default 0.9. */
  readonly backoff?: number | undefined;
  /** A call that takes longer counts as dropped, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Additive increase, multiplicative decrease (Chiu and Jain 1989), as Netflix's concurrency-limits has it: a drop leaves `backoff` of
 * the limit; a call that went well while at least half of the limit was in use adds 1. From 20, between 20 and 200.
 */
export class Aimd implements LimitAlgorithm {
  readonly #backoff: number;
  readonly #timeoutUs: number;
  readonly #min: number;
  readonly #max: number;
  limit: number;

  constructor({ initial = 20, min = 20, max = 200, backoff = 0.9, timeoutMs = 5_000 }: AimdSettings) {
    this.limit = initial;
    this.#min = min;
    this.#max = max;
    this.#backoff = backoff;
    this.#timeoutUs = timeoutMs * 1000;
  }

  sample({ rttUs, inFlight, isDropped }: Sample): void {
    let limit = this.limit;
    if (isDropped || rttUs > this.#timeoutUs) limit = Math.floor(limit * this.#backoff);
    else if (inFlight * 2 >= limit) limit++;
    this.limit = Math.min(this.#max, Math.max(this.#min, limit));
  }
}
