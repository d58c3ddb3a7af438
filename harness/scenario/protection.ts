import { z } from "zod";

import { limitKinds } from "../../runtime/protection/limits/table.ts";
import { queueOrders } from "../../services/provider/queue.ts";
import { durationUs, fractionOf } from "./durations.ts";
import { callTimeout, duration, durationFrom, fraction } from "./units.ts";

/** How calls are protected, as scenarios say it: runtime/protection has what each means, and its default. */

const count = z.int().min(1);
const time = durationFrom("1us", "60m");
const percentage = z.number().min(0).max(100);
const hosts = {
  enforcementPercent: percentage.optional(),
  minimumHosts: count.optional(),
  requestVolume: count.optional(),
};

const concurrencyLimit = z
  .strictObject({
    kind: z.enum(limitKinds).optional(),
    initial: count.optional(),
    min: count.optional(),
    max: count.optional(),
    window: time.optional(),
    backoff: z.number().min(0.01).max(0.99).optional(),
    timeout: time.optional(),
    tolerance: z.number().min(1).optional(),
    queue: z.number().min(0).optional(),
    smoothing: z.number().min(0.001).max(1).optional(),
    longWindow: count.optional(),
  })
  .refine(({ min = 1, max = Infinity }) => min <= max, { path: ["min"], error: "at most max" });

const rateLimit = z.strictObject({
  perSecond: z.number().min(0.001).max(1_000_000),
  burst: count.max(1_000_000).optional(),
});

/** Of whoever calls. */
export const clientProtection = {
  healthCheck: z.strictObject({ service: z.string().min(1).optional() }).optional(),
  outlier: z
    .strictObject({
      interval: time.optional(),
      baseEjection: time.optional(),
      maxEjection: time.optional(),
      maxEjectionPercent: percentage.optional(),
      successRate: z.strictObject({ stdevFactor: z.number().min(0).optional(), ...hosts }).optional(),
      failurePercentage: z.strictObject({ threshold: percentage.optional(), ...hosts }).optional(),
      consecutiveErrors: count.optional(),
    })
    .optional(),
  breaker: z
    .strictObject({
      scope: z.enum(["service", "instance"]).optional(),
      window: time.optional(),
      minCalls: count.optional(),
      errorRatio: fraction.optional(),
      slow: time.optional(),
      slowRatio: fraction.optional(),
      open: time.optional(),
      probes: count.optional(),
    })
    .optional(),
  throttle: z.strictObject({ k: z.number().min(1).optional(), window: time.optional() }).optional(),
  concurrencyLimit: concurrencyLimit.optional(),
  rateLimit: rateLimit.optional(),
  /** The same as `timeout` for single methods, by name. */
  methodTimeouts: z.record(z.string(), callTimeout).optional(),
  /** How much of the caller's own deadline is kept for the caller. */
  deadlineMargin: durationFrom("0s", "60m").optional(),
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
      codel: z.strictObject({ target: time.optional(), interval: time.optional() }).optional(),
    })
    .optional(),
};

/** A service or a zone may be called "2m" and is no duration. */
const names: ReadonlySet<string> = new Set(["service", "zone"]);

/** The same value as programs take it: durations in milliseconds, under a name that says so, and shares as numbers. */
export function asSettings(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => {
      if (part === undefined) return [];
      if (Array.isArray(part)) return [[key, part]];
      if (typeof part === "object" && part !== null)
        return [[key, asSettings(part as Readonly<Record<string, unknown>>)]];
      if (typeof part !== "string" || names.has(key)) return [[key, part]];
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
