import { z } from "zod";

import type { ClusterSettings } from "../../runtime/cluster/settings.ts";
import { rpcCodes } from "../../runtime/call/status.ts";
import { retryBudgets } from "../../runtime/protection/retry-budget/table.ts";
import { durationFrom, fraction } from "./units.ts";

/**
 * How calls are repeated, as scenarios say it: runtime/cluster and runtime/protection/retry-budget have what each means, and its default.
 */

const codes = z.array(z.enum(rpcCodes.filter((code) => code !== "OK")));
const attempts = z.int().min(2).max(100);
const time = durationFrom("0s", "60m");

export const clientRetries = {
  /** False: a call is made again only where no handler has seen it. */
  idempotent: z.boolean().optional(),
  /** gRPC's retry policy, in the place of `retries` and `retryOn`. */
  retry: z
    .strictObject({
      maxAttempts: attempts.optional(),
      initialBackoff: time.optional(),
      maxBackoff: time.optional(),
      backoffMultiplier: z.number().min(1).max(100).optional(),
      retryableStatusCodes: codes.min(1).optional(),
    })
    .optional(),
  /** gRPC's hedging policy. */
  hedging: z
    .strictObject({
      maxAttempts: attempts.optional(),
      hedgingDelay: time.optional(),
      nonFatalStatusCodes: codes.optional(),
    })
    .optional(),
  retryBudget: z
    .strictObject({
      policy: z.enum(Object.keys(retryBudgets)),
      maxTokens: z.number().min(0.001).max(1000).optional(),
      tokenRatio: z.number().min(0.001).max(1000).optional(),
      percentCanRetry: z.number().min(0.001).max(1000).optional(),
      minRetriesPerSec: z.number().min(0).max(1_000_000).optional(),
      ttl: durationFrom("1s", "1m").optional(),
      budgetPercent: z.number().min(0).max(100).optional(),
      minRetryConcurrency: z.int().min(0).optional(),
    })
    .optional(),
  forking: z.strictObject({ forks: z.int().min(0).max(1000).optional() }).optional(),
  broadcast: z.strictObject({ failPercent: z.number().min(0).max(100).optional() }).optional(),
  failback: z
    .strictObject({
      interval: durationFrom("1ms", "60m").optional(),
      tasks: z.int().min(1).max(1_000_000).optional(),
      jitter: fraction.optional(),
    })
    .optional(),
  zoneAware: z
    .strictObject({
      zone: z.string().min(1).optional(),
      preferred: z.array(z.string().min(1)).optional(),
      force: z.boolean().optional(),
      weights: z.record(z.string(), z.int().min(0).max(1_000_000)).optional(),
    })
    .optional(),
};

/** As `clusterOf`, `attemptsAtMost` and `contradictionIn` read it: what they look at is the same in both forms. */
export const clusterSettingsOf = (settings: Readonly<Record<string, unknown>>): ClusterSettings => settings;
