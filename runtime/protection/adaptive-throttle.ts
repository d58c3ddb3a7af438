import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { Guard, GuardPorts } from "./guard.ts";
import { Rejection, type Outcome } from "./outcome.ts";
import { SlidingWindow } from "./window.ts";

export interface ThrottleSettings {
  /** How many attempts are made for each that is accepted. Default 2; lower turns away earlier. */
  readonly k?: number | undefined;
  /** The time that counts, in milliseconds. Default 120,000 (two minutes). */
  readonly windowMs?: number | undefined;
}

const kinds = { accepted: 0, requested: 1 } as const;
const bucketsOfWindow = 20;

/**
 * Adaptive throttling by the client (Beyer and others, "Site Reliability Engineering", 2016, chapter 21): an attempt is kept back with
 * probability
 *
 *     max(0, (requests − K · accepts) / (requests + 1))
 *
 * `requests` are the attempts of the window whose end is known, those that were kept back included; `accepts` those that succeeded.
 * There is no open state: a little traffic always finds out whether the server is well again. With a success rate s < 1/K the share
 * that is let through settles at about K · s.
 */
export class AdaptiveThrottle {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #k: number;
  readonly #window: SlidingWindow;

  constructor(
    { k = 2, windowMs = 120_000 }: ThrottleSettings,
    ports: { readonly clock: Clock; readonly random: Random },
  ) {
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#k = k;
    this.#window = new SlidingWindow({ windowUs: windowMs * 1000, buckets: bucketsOfWindow, kinds: 2 });
  }

  /** The probability with which the next attempt is kept back. */
  rejection(): number {
    const nowUs = this.#clock.nowUs();
    const requested = this.#window.count(kinds.requested, nowUs);
    return Math.max(0, (requested - this.#k * this.#window.count(kinds.accepted, nowUs)) / (requested + 1));
  }

  /** Whether the next attempt goes through. One that doesn't counts as a request. */
  admits(): boolean {
    const probability = this.rejection();
    if (probability === 0 || this.#random.float() >= probability) return true;
    this.#window.add(kinds.requested, this.#clock.nowUs());
    return false;
  }

  ended(outcome: Outcome): void {
    if (outcome === "ignored") return;
    const nowUs = this.#clock.nowUs();
    this.#window.add(kinds.requested, nowUs);
    if (outcome === "success") this.#window.add(kinds.accepted, nowUs);
  }
}

const policy = "throttle";

/** One throttle for all attempts at a service. Its states are `throttling`, from the first attempt kept back, and `passing`. */
export function throttleGuard(settings: ThrottleSettings, { clock, random, service, report }: GuardPorts): Guard {
  const throttle = new AdaptiveThrottle(settings, { clock, random });
  let isThrottling = false;
  const become = (throttling: boolean, reason: string): void => {
    if (isThrottling === throttling) return;
    isThrottling = throttling;
    report({ policy, state: throttling ? "throttling" : "passing", reason });
  };
  return {
    admit: () => {
      if (!throttle.admits()) {
        become(true, "too few attempts are accepted");
        return new Rejection(`too few calls of ${service} are accepted: this one is kept back`, {
          policy,
          code: "RESOURCE_EXHAUSTED",
          hint: "it passes again by itself when the server accepts more; raise throttle.k to try harder",
        });
      }
      if (isThrottling && throttle.rejection() === 0) become(false, "enough attempts are accepted");
      return (outcome) => throttle.ended(outcome);
    },
    close: () => undefined,
  };
}
