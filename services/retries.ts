import { rpcCodes, type RpcCode } from "../runtime/call/status.ts";
import { contradictionIn, type ClusterSettings } from "../runtime/cluster/settings.ts";
import type { RetryBudgetSettings } from "../runtime/protection/retry-budget/retry-budget.ts";
import { retryBudgets } from "../runtime/protection/retry-budget/table.ts";
import { nested, type ConfigReader } from "./config.ts";
import { ConfigError } from "./service.ts";

const time = { min: 0, max: 3_600_000 };
const attempts = { min: 2, max: 100, isInteger: true };

export interface RetrySettings extends ClusterSettings {
  readonly cluster: string | undefined;
  readonly retryBudget: RetryBudgetSettings | undefined;
}

/** Which strategy makes a client's calls, how it repeats them, and how much of that it may. */
export function parseRetries(reader: ConfigReader): RetrySettings {
  const settings: RetrySettings = {
    cluster: reader.text("cluster"),
    retries: reader.number("retries", { min: 0, max: 100, isInteger: true }),
    retryOn: codes(reader, "retryOn"),
    idempotent: reader.boolean("idempotent"),
    retry: nested(reader, "retry", (own) => ({
      maxAttempts: own.number("maxAttempts", attempts),
      initialBackoffMs: own.number("initialBackoffMs", time),
      maxBackoffMs: own.number("maxBackoffMs", time),
      backoffMultiplier: own.number("backoffMultiplier", { min: 1, max: 100 }),
      retryableStatusCodes: codes(own, "retryableStatusCodes"),
    })),
    hedging: nested(reader, "hedging", (own) => ({
      maxAttempts: own.number("maxAttempts", attempts),
      hedgingDelayMs: own.number("hedgingDelayMs", time),
      nonFatalStatusCodes: codes(own, "nonFatalStatusCodes"),
    })),
    retryBudget: nested(reader, "retryBudget", (own) => ({
      policy: own.choice("policy", Object.keys(retryBudgets)) ?? "unlimited",
      maxTokens: own.number("maxTokens", { min: 0.001, max: 1000 }),
      tokenRatio: own.number("tokenRatio", { min: 0.001, max: 1000 }),
      percentCanRetry: own.number("percentCanRetry", { min: 0.001, max: 1000 }),
      minRetriesPerSec: own.number("minRetriesPerSec", { min: 0, max: 1_000_000 }),
      ttlMs: own.number("ttlMs", { min: 1000, max: 60_000 }),
      budgetPercent: own.number("budgetPercent", { min: 0, max: 100 }),
      minRetryConcurrency: own.number("minRetryConcurrency", { min: 0, isInteger: true }),
    })),
    forking: nested(reader, "forking", (own) => ({
      forks: own.number("forks", { min: 0, max: 1000, isInteger: true }),
    })),
    broadcast: nested(reader, "broadcast", (own) => ({ failPercent: own.number("failPercent", { min: 0, max: 100 }) })),
    failback: nested(reader, "failback", (own) => ({
      intervalMs: own.number("intervalMs", { ...time, min: 1 }),
      tasks: own.number("tasks", { min: 1, max: 1_000_000, isInteger: true }),
      jitter: own.number("jitter", { min: 0, max: 1 }),
    })),
    zoneAware: nested(reader, "zoneAware", (own) => ({
      zone: own.text("zone"),
      preferred: own.texts("preferred"),
      force: own.boolean("force"),
      weights: nested(own, "weights", weights),
    })),
  };
  const contradiction = contradictionIn(settings);
  if (contradiction !== undefined) throw new ConfigError(contradiction.message, contradiction.hint);
  return settings;
}

function codes(reader: ConfigReader, key: string): readonly RpcCode[] | undefined {
  const names = reader.texts(key);
  const unknown = names?.find((code) => code === "OK" || !rpcCodes.includes(code as RpcCode));
  if (unknown !== undefined) throw reader.wrong(key, `a list of status codes, and "${unknown}" isn't one`);
  return names as readonly RpcCode[] | undefined;
}

const weights = (own: ConfigReader): Readonly<Record<string, number>> =>
  Object.fromEntries(
    own.keys().map((zone) => [zone, own.requiredNumber(zone, { min: 0, max: 1_000_000, isInteger: true })]),
  );
