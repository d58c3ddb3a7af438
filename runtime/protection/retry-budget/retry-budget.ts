import type { Clock } from "../../ports/clock.ts";

/**
 * Keeps the retries of one client's calls of one service in proportion to its calls: without, every caller multiplies the load of a
 * service by its attempts just when that service has none to give. It never blocks: a retry that isn't allowed isn't made, and the
 * call ends with the error that it has. First attempts are always allowed. Hedges count as retries.
 */
export interface RetryBudget {
  /** A logical call begins; told once for each, before its first attempt. */
  began(): void;
  /** The logical call is over. */
  ended(): void;
  /** An attempt was answered OK. */
  succeeded(): void;
  /** An attempt failed in a way that may be retried, or its server asked not to be tried again. */
  failed(): void;
  /** Asks for one more attempt. True takes it: `returned` is told when it is over. */
  take(): boolean;
  /** An attempt that was taken is over. */
  returned(): void;
}

/** What a budget is made with; each policy reads its own. */
export interface RetryBudgetSettings {
  /** An entry of the table of budgets: "grpc", "finagle", "envoy". */
  readonly policy: string;
  /** grpc: the tokens of a full bucket, above 0 to 1000. Default 10. */
  readonly maxTokens?: number | undefined;
  /** grpc: what a success gives back, above 0, three decimals. Default 0.1. */
  readonly tokenRatio?: number | undefined;
  /** finagle: retries for each call, above 0 to 1000. Default 0.2. */
  readonly percentCanRetry?: number | undefined;
  /** finagle: retries per second that are always allowed. Default 10. */
  readonly minRetriesPerSec?: number | undefined;
  /** finagle: how long a call counts, in milliseconds, 1000 to 60000. Default 10000. */
  readonly ttlMs?: number | undefined;
  /** envoy: retries at a time, in percent of the calls at that time, 0 to 100. Default 20. */
  readonly budgetPercent?: number | undefined;
  /** envoy: retries at a time that are always allowed. Default 3. */
  readonly minRetryConcurrency?: number | undefined;
}

/** A policy in the table of budgets: one budget for each service that a client calls. */
export type RetryBudgetPolicy = (settings: RetryBudgetSettings, ports: { readonly clock: Clock }) => RetryBudget;
