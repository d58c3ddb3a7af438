import { throttleGuard, type ThrottleSettings } from "./adaptive-throttle.ts";
import { breakerGuard, type BreakerSettings } from "./circuit-breaker.ts";
import { concurrencyGuard } from "./concurrency-limit.ts";
import type { Guard, GuardPorts } from "./guard.ts";
import type { LimitSettings } from "./limits/table.ts";
import { outlierGuard, type OutlierSettings } from "./outlier.ts";
import { rateLimitGuard, type RateLimitSettings } from "./rate-limit.ts";

/** How a client protects a service, and itself, from too many calls and from bad instances. Default: not at all. */
export interface ProtectionSettings {
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
  outlier: outlierGuard,
  breaker: breakerGuard,
  throttle: throttleGuard,
  concurrencyLimit: concurrencyGuard,
  rateLimit: rateLimitGuard,
};
