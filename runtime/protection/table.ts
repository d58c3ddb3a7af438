import { throttleGuard, type ThrottleSettings } from "./adaptive-throttle.ts";
import { breakerGuard, type BreakerSettings } from "./circuit-breaker.ts";
import type { Filter } from "../call/filter.ts";
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import { concurrencyFilter, concurrencyGuard } from "./concurrency-limit.ts";
import type { Guard, GuardPorts, Report } from "./guard.ts";
import { healthGuard, type HealthCheckSettings } from "./health-check.ts";
import type { LimitSettings } from "./limits/table.ts";
import { outlierGuard, type OutlierSettings } from "./outlier.ts";
import { rateLimitFilter, rateLimitGuard, type RateLimitSettings } from "./rate-limit.ts";

/** How a client protects a service, and itself, from too many calls and from bad instances. Default: not at all. */
export interface ProtectionSettings {
  readonly healthCheck?: HealthCheckSettings | undefined;
  readonly outlier?: OutlierSettings | undefined;
  readonly breaker?: BreakerSettings | undefined;
  readonly throttle?: ThrottleSettings | undefined;
  readonly concurrencyLimit?: LimitSettings | undefined;
  readonly rateLimit?: RateLimitSettings | undefined;
}

/** A guard for each kind of settings. */
export type GuardTable = {
  readonly [Name in keyof ProtectionSettings]-?: (
    settings: NonNullable<ProtectionSettings[Name]>,
    ports: GuardPorts,
  ) => Guard;
};

/** In the order in which they are asked: the rate limit last, so that no token is spent on an attempt that another keeps back. */
export const guards: GuardTable = {
  healthCheck: healthGuard,
  outlier: outlierGuard,
  breaker: breakerGuard,
  throttle: throttleGuard,
  concurrencyLimit: concurrencyGuard,
  rateLimit: rateLimitGuard,
};

/** What a server lets in at all. Default: everything. */
export type AdmissionSettings = Pick<ProtectionSettings, "rateLimit" | "concurrencyLimit">;

/** A filter around every call of a server, for each kind of settings. */
export type AdmissionTable = {
  readonly [Name in keyof AdmissionSettings]-?: (
    settings: NonNullable<AdmissionSettings[Name]>,
    ports: { readonly clock: Clock; readonly random: Random; readonly report: Report },
  ) => Filter;
};

/** In the order in which they are asked. */
export const admissions: AdmissionTable = { rateLimit: rateLimitFilter, concurrencyLimit: concurrencyFilter };
