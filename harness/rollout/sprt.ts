/** What Wald's sequential test asks. */
export interface SprtSettings {
  /** An error rate that is fine. */
  readonly acceptable: number;
  /** An error rate that must be found; above `acceptable`. */
  readonly unacceptable: number;
  /** The largest probability with which one test condemns what is fine. */
  readonly alpha: number;
  /** The largest probability with which one test passes what must be found. */
  readonly beta: number;
}

/**
 * Wald's sequential probability ratio test (1945) of an error rate: after each call the logarithm of how much likelier the calls so far
 * are under `unacceptable` than under `acceptable`. At ln((1-β)/α) they are bad, at ln(β/(1-α)) they are fine, and in between the next
 * call decides: a test that may be looked at after every call, which a test for a fixed number of calls may not.
 */
export class Sprt {
  /** 0 at the beginning; grows with failures, shrinks with successes. */
  score = 0;
  readonly badAt: number;
  readonly goodAt: number;
  readonly #failure: number;
  readonly #success: number;

  constructor({ acceptable, unacceptable, alpha, beta }: SprtSettings) {
    this.badAt = Math.log((1 - beta) / alpha);
    this.goodAt = Math.log(beta / (1 - alpha));
    this.#failure = Math.log(unacceptable / acceptable);
    this.#success = Math.log((1 - unacceptable) / (1 - acceptable));
  }

  /** Takes one call; answers once the calls so far decide. */
  observe(isFailure: boolean): "good" | "bad" | undefined {
    this.score += isFailure ? this.#failure : this.#success;
    if (this.score >= this.badAt) return "bad";
    return this.score <= this.goodAt ? "good" : undefined;
  }

  /** So many failures of `calls` are enough, wherever among them they come; more than `calls` when none are. */
  failuresNeeded(calls: number): number {
    return Math.max(0, Math.ceil((this.badAt - calls * this.#success) / (this.#failure - this.#success)));
  }
}
