import { pushbackKey } from "../call/metadata.ts";
import type { RpcError } from "../call/status.ts";
import type { Endpoint } from "../discovery/endpoint.ts";
import { pow } from "../numbers.ts";
import type { Random } from "../ports/random.ts";
import type { RetryBudget } from "../protection/retry-budget/retry-budget.ts";
import type { Attempts, Failure } from "./cluster.ts";
import { attemptsMax, type ClusterSettings, type RetrySettings } from "./settings.ts";

/** What follows a failed attempt. */
export type Next =
  | { readonly kind: "give up" }
  /** No handler saw it: again at once, counted against nothing. */
  | { readonly kind: "transparent" }
  | { readonly kind: "retry"; readonly afterUs: number };

const giveUp: Next = { kind: "give up" };
const transparent: Next = { kind: "transparent" };

/** How a server asks when to be tried again: undefined when it doesn't, never when it asks not to be. */
export type Pushback = { readonly kind: "after"; readonly delayUs: number } | { readonly kind: "never" } | undefined;

/** Reads `grpc-retry-pushback-ms`: a number ≥ 0, once; anything else says never (proposal A6). */
export function pushbackOf(error: RpcError): Pushback {
  const text = error.trailers.get(pushbackKey);
  if (text === undefined) return undefined;
  return /^\d{1,9}$/.test(text) ? { kind: "after", delayUs: Number(text) * 1000 } : { kind: "never" };
}

/** gRPC's pause before retry `n` (1, 2, …), in microseconds: min(initial · multiplier^(n-1), max) · U(0.8, 1.2). */
export function backoffUs(settings: RetrySettings, n: number, random: Random): number {
  const { initialBackoffMs = 100, maxBackoffMs = 1000, backoffMultiplier = 2 } = settings;
  const pauseMs = Math.min(initialBackoffMs * pow(backoffMultiplier, n - 1), maxBackoffMs);
  return Math.round(pauseMs * 1000 * (0.8 + 0.4 * random.float()));
}

/** Whether a call that failed like this may be made again at all: not once its answer had begun, and by default however far it came. */
export function mayRepeat({ reach }: RpcError, { idempotent = true }: ClusterSettings): boolean {
  return reach !== "answered" && (idempotent || reach === "nowhere" || reach === "server");
}

/**
 * The transparent retries of one call (proposal A6): an attempt that never left this client goes to another instance, as long as
 * there is one that wasn't tried; one that its server refused before any handler saw it goes out once more, once a call.
 */
export class Transparency {
  #isUsed = false;

  allows({ reach }: RpcError, attempts: Attempts, tried: readonly Endpoint[]): boolean {
    if (reach === "nowhere") {
      return attempts.candidates().some(({ key, weight }) => weight > 0 && !tried.some((other) => other.key === key));
    }
    if (reach !== "server" || this.#isUsed) return false;
    this.#isUsed = true;
    return true;
  }
}

/** Decides, failure by failure, what becomes of one logical call. */
export class RetryDecisions {
  readonly #settings: ClusterSettings;
  readonly #random: Random;
  readonly #budget: RetryBudget;
  readonly #transparency = new Transparency();
  /** Attempts that count, the first included. */
  #made = 1;
  /** Since the last pushback, which begins the backoff anew. */
  #backoffs = 0;

  constructor(
    settings: ClusterSettings,
    { random, budget }: { readonly random: Random; readonly budget: RetryBudget },
  ) {
    this.#settings = settings;
    this.#random = random;
    this.#budget = budget;
  }

  /** Attempts made so far that count. */
  get made(): number {
    return this.#made;
  }

  after(failure: Failure, attempts: Attempts, tried: readonly Endpoint[]): Next {
    const { retry, retries = 2 } = this.#settings;
    const { error } = failure;
    if (!mayRepeat(error, this.#settings)) return giveUp;
    // Dubbo's failover counts every attempt; gRPC's policy those that a server may have worked on.
    if (retry !== undefined && this.#transparency.allows(error, attempts, tried)) return transparent;

    const pushback = pushbackOf(error);
    const isRetryable = this.#isRetryable(failure);
    if (isRetryable || pushback?.kind === "never") this.#budget.failed();
    if (!isRetryable || pushback?.kind === "never") return giveUp;
    const most = retry === undefined ? retries + 1 : Math.min(retry.maxAttempts ?? 3, attemptsMax);
    if (this.#made >= most) return giveUp;
    const afterUs = this.#pauseUs(retry, pushback);
    // What would begin at the deadline or later isn't worth waiting for.
    if (attempts.call.isCancelled || attempts.call.remainingUs() <= afterUs) return giveUp;
    if (!this.#budget.take()) return giveUp;
    this.#made++;
    return { kind: "retry", afterUs };
  }

  #isRetryable({ error: { code }, isOwnTimeout }: Failure): boolean {
    const { retry, retryOn = [] } = this.#settings;
    if (isOwnTimeout) return true;
    if (retry !== undefined) return (retry.retryableStatusCodes ?? ["UNAVAILABLE"]).includes(code);
    return code === "UNAVAILABLE" || retryOn.includes(code);
  }

  #pauseUs(retry: RetrySettings | undefined, pushback: Pushback): number {
    if (pushback?.kind === "after") {
      this.#backoffs = 0;
      return pushback.delayUs;
    }
    return retry === undefined ? 0 : backoffUs(retry, ++this.#backoffs, this.#random);
  }
}
