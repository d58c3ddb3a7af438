import { z } from "zod";

import { limitKinds } from "../../runtime/protection/limits/table.ts";
import { queueOrders } from "../../services/provider/queue.ts";
import { durationUs, fractionOf } from "./durations.ts";
import { duration, fraction } from "./units.ts";

/** How calls are protected, as scenarios say it: runtime/protection has what each means, and its default. */

const count = z.int().min(1);
const percentage = z.number().min(0).max(100);
const hosts = {
  enforcementPercent: percentage.optional(),
  minimumHosts: count.optional(),
  requestVolume: count.optional(),
};

const concurrencyLimit = z.strictObject({
  kind: z.enum(limitKinds).optional(),
  initial: count.optional(),
  min: count.optional(),
  max: count.optional(),
  window: duration.optional(),
  backoff: z.number().gt(0).lt(1).optional(),
  timeout: duration.optional(),
  tolerance: z.number().min(1).optional(),
  queue: z.number().min(0).optional(),
  smoothing: z.number().gt(0).max(1).optional(),
  longWindow: count.optional(),
});

const rateLimit = z.strictObject({ perSecond: z.number().gt(0), burst: count.optional() });

/** Of whoever calls. */
export const clientProtection = {
  outlier: z
    .strictObject({
      interval: duration.optional(),
      baseEjection: duration.optional(),
      maxEjection: duration.optional(),
      maxEjectionPercent: percentage.optional(),
      successRate: z.strictObject({ stdevFactor: z.number().min(0).optional(), ...hosts }).optional(),
      failurePercentage: z.strictObject({ threshold: percentage.optional(), ...hosts }).optional(),
      consecutiveErrors: count.optional(),
    })
    .optional(),
  breaker: z
    .strictObject({
      scope: z.enum(["service", "instance"]).optional(),
      window: duration.optional(),
      minCalls: count.optional(),
      errorRatio: fraction.optional(),
      slow: duration.optional(),
      slowRatio: fraction.optional(),
      open: duration.optional(),
      probes: count.optional(),
    })
    .optional(),
  throttle: z.strictObject({ k: z.number().min(1).optional(), window: duration.optional() }).optional(),
  concurrencyLimit: concurrencyLimit.optional(),
  rateLimit: rateLimit.optional(),
  /** The same as `timeout` for single methods, by name. */
  methodTimeouts: z.record(z.string(), duration).optional(),
  /** How much of the caller's own deadline is kept for the caller. */
  deadlineMargin: duration.optional(),
};

/** Of whoever serves. */
export const serverProtection = {
  /** What is let in at all. */
  admission: z
    .strictObject({ concurrencyLimit: concurrencyLimit.optional(), rateLimit: rateLimit.optional() })
    .optional(),
  /** How those that wait for a worker wait. */
  queue: z
    .strictObject({
      order: z.enum(queueOrders).optional(),
      codel: z.strictObject({ target: duration.optional(), interval: duration.optional() }).optional(),
    })
    .optional(),
};

/** The same value as programs take it: durations in milliseconds, under a name that says so, and shares as numbers. */
export function asSettings(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => {
      if (part === undefined) return [];
      if (Array.isArray(part)) return [[key, part]];
      if (typeof part === "object" && part !== null)
        return [[key, asSettings(part as Readonly<Record<string, unknown>>)]];
      if (typeof part !== "string") return [[key, part]];
      if (duration.safeParse(part).success) return [[`${key}Ms`, durationUs(part) / 1000]];
      return [[key, fraction.safeParse(part).success ? fractionOf(part) : part]];
    }),
  );
}

/** Durations by name. */
export const inMs = (
  durations: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, number>> | undefined =>
  durations && Object.fromEntries(Object.entries(durations).map(([name, text]) => [name, durationUs(text) / 1000]));
