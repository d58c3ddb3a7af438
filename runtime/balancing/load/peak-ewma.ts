import type { AttemptEnd, EndpointStats } from "../../discovery/endpoint.ts";
import { exp } from "../../numbers.ts";
import type { LoadPolicy } from "./load.ts";

/** Load of an endpoint that is being tried for the first time: higher than any other, so that one call at a time finds out. */
const penalty = 0x800000000000;

/**
 * Peak EWMA (Finagle,
 * https://github.com/twitter/finagle/blob/develop/finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/PeakEwma.scala): the moving
 * average of an endpoint's response times, which a slower response raises at once and faster ones lower with time constant `decayMs`
 * (10,000), times calls in flight + 1. It forgets while nothing is heard. A failed attempt counts as `failureMs` (1,000) at least, or an
 * endpoint that fails fast would look the best; one that the caller gave up counts as it is. Times are in microseconds.
 */
export const peakEwmaWith =
  ({ decayMs = 10_000, failureMs = 1_000 } = {}): LoadPolicy =>
  () => {
    const costs = new WeakMap<EndpointStats, Cost>();
    return {
      of: ({ stats }, nowUs) => {
        let cost = costs.get(stats);
        if (cost === undefined) {
          const made = new Cost(decayMs * 1000, nowUs);
          costs.set(stats, (cost = made));
          stats.observers.push(({ latencyUs, endUs, code }: AttemptEnd) => {
            const failed = code !== "OK" && code !== "CANCELLED";
            made.observe(failed ? Math.max(latencyUs, failureMs * 1000) : latencyUs, endUs);
          });
        }
        const us = cost.at(nowUs);
        if (us === 0 && stats.inFlight > 0) return penalty + stats.inFlight;
        return us * (stats.inFlight + 1);
      },
    };
  };

export const peakEwma: LoadPolicy = peakEwmaWith();

/** A decaying peak. */
export class Cost {
  readonly #decayUs: number;
  #us = 0;
  #atUs: number;

  constructor(decayUs: number, nowUs: number) {
    this.#decayUs = decayUs;
    this.#atUs = nowUs;
  }

  observe(latencyUs: number, nowUs: number): void {
    const kept = this.#kept(nowUs);
    this.#us = latencyUs > this.#us ? latencyUs : this.#us * kept + latencyUs * (1 - kept);
    this.#atUs = nowUs;
  }

  /** As if a response had come at once. */
  at(nowUs: number): number {
    this.#us *= this.#kept(nowUs);
    this.#atUs = nowUs;
    return this.#us;
  }

  #kept(nowUs: number): number {
    return exp(-Math.max(0, nowUs - this.#atUs) / this.#decayUs);
  }
}
