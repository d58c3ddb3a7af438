import type { Filter } from "../call/filter.ts";
import type { Clock } from "../ports/clock.ts";
import type { Guard, GuardPorts, Report } from "./guard.ts";
import { Rejection } from "./outcome.ts";

export interface RateLimitSettings {
  /** Calls a second in the long run. */
  readonly perSecond: number;
  /** Calls that may come at once after a pause. Default: one second's, and at least 1. */
  readonly burst?: number | undefined;
}

/** A call costs so much: a token, in the parts that a microsecond at one call a second adds. */
const token = 1_000_000;

/**
 * A token bucket (Turner 1986; the leaky bucket as a meter, ITU-T I.371): it holds `burst` tokens, fills at `perSecond`, and each
 * call takes one. In any interval of T seconds at most `burst + perSecond · T` calls pass: exactly, because levels are counted in
 * millionths of a token and time in whole microseconds.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #full: number;
  #level: number;
  #atUs: number;

  constructor({ perSecond, burst = Math.max(1, Math.floor(perSecond)) }: RateLimitSettings, nowUs: number) {
    this.#perSecond = perSecond;
    this.#full = burst * token;
    this.#level = this.#full;
    this.#atUs = nowUs;
  }

  /** Takes a token if there is one. */
  take(nowUs: number): boolean {
    this.#fill(nowUs);
    if (this.#level < token) return false;
    this.#level -= token;
    return true;
  }

  /** Whether it has recovered from all that was taken. */
  isFull(nowUs: number): boolean {
    this.#fill(nowUs);
    return this.#level === this.#full;
  }

  #fill(nowUs: number): void {
    if (nowUs <= this.#atUs) return;
    this.#level = Math.min(this.#full, this.#level + (nowUs - this.#atUs) * this.#perSecond);
    this.#atUs = nowUs;
  }
}

const policy = "rate-limit";

/** A bucket that reports: `limiting` from the first refusal, `passing` with the first call after it had become full again. */
function limiter(settings: RateLimitSettings, clock: Clock, report: Report): () => Rejection | undefined {
  const bucket = new TokenBucket(settings, clock.nowUs());
  let isLimiting = false;
  return () => {
    const nowUs = clock.nowUs();
    if (isLimiting && bucket.isFull(nowUs)) {
      isLimiting = false;
      report({ policy, state: "passing", reason: "the bucket is full again" });
    }
    if (bucket.take(nowUs)) return undefined;
    if (!isLimiting) {
      isLimiting = true;
      report({ policy, state: "limiting", reason: `more than ${settings.perSecond} calls a second` });
    }
    return new Rejection(`more than ${settings.perSecond} calls a second`, {
      policy,
      code: "RESOURCE_EXHAUSTED",
      hint: "send less, or raise rateLimit.perSecond or its burst",
    });
  };
}

/** Limits the attempts that this client makes at a service. */
export function rateLimitGuard(settings: RateLimitSettings, { clock, report }: GuardPorts): Guard {
  const refusal = limiter(settings, clock, report);
  return { admit: () => refusal() ?? (() => undefined), close: () => undefined };
}

/** Limits the calls that this server takes. */
export function rateLimitFilter(
  settings: RateLimitSettings,
  ports: { readonly clock: Clock; readonly report: Report },
): Filter {
  const refusal = limiter(settings, ports.clock, ports.report);
  return (call, request, next) => {
    const rejection = refusal();
    return rejection === undefined ? next(call, request) : Promise.reject(rejection);
  };
}
