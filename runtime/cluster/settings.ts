import type { RpcCode } from "../call/status.ts";

/** What a consumer asks of a strategy; each reads its own. */
export interface ClusterSettings {
  /** Attempts after the first one. Default: Dubbo's, 2; with "failback" 3. */
  readonly retries?: number | undefined;
  /** Codes that are tried again beside UNAVAILABLE and an attempt's own timeout. Default none. */
  readonly retryOn?: readonly RpcCode[] | undefined;
  /**
   * Whether a call may be made twice. Default true (Dubbo's stance). False: it is tried again only where the transport knows that no
   * handler saw it.
   */
  readonly idempotent?: boolean | undefined;
  /** gRPC's retry policy, in the place of `retries` and `retryOn`. Default none: retries follow at once. */
  readonly retry?: RetrySettings | undefined;
  /** gRPC's hedging policy, for the cluster "hedging". */
  readonly hedging?: HedgingSettings | undefined;
  readonly forking?: ForkingSettings | undefined;
  readonly broadcast?: BroadcastSettings | undefined;
  readonly failback?: FailbackSettings | undefined;
  readonly zoneAware?: ZoneAwareSettings | undefined;
}

/** `retryPolicy` of gRPC's service config (proposal A6), with its names. */
export interface RetrySettings {
  /** Attempts in all, the first included: 2 or more; more than 5 count as 5. Default 3. */
  readonly maxAttempts?: number | undefined;
  /** Pause before the second attempt, ± 20 %. Default 100. */
  readonly initialBackoffMs?: number | undefined;
  /** The longest pause, ± 20 %. Default 1000. */
  readonly maxBackoffMs?: number | undefined;
  /** What each pause is longer than the one before. Default 2. */
  readonly backoffMultiplier?: number | undefined;
  /** Default UNAVAILABLE. An attempt that ran out of its own time is tried again as well. */
  readonly retryableStatusCodes?: readonly RpcCode[] | undefined;
}

/** `hedgingPolicy` of gRPC's service config (proposal A6), with its names. */
export interface HedgingSettings {
  /** Attempts in all, the first included: 2 or more; more than 5 count as 5. Default 2. */
  readonly maxAttempts?: number | undefined;
  /** Pause between two attempts; 0 sends all at once. Default 50: set it to about the service's p95. */
  readonly hedgingDelayMs?: number | undefined;
  /** A failure with one of these sends the next attempt at once; any other ends the call. Default UNAVAILABLE. */
  readonly nonFatalStatusCodes?: readonly RpcCode[] | undefined;
}

export interface ForkingSettings {
  /** Instances called at once; 0 is all of them. Dubbo's `forks`. Default 2. */
  readonly forks?: number | undefined;
}

export interface BroadcastSettings {
  /**
   * Failures, in percent of the instances, after which the others aren't called any more. Dubbo's `broadcast.fail.percent`. Default 100.
   */
  readonly failPercent?: number | undefined;
}

export interface FailbackSettings {
  /** Time before each redelivery. Default 5000 (Dubbo's). */
  readonly intervalMs?: number | undefined;
  /** Calls that may wait for a redelivery; one more is dropped. Dubbo's `failbacktasks`. Default 100. */
  readonly tasks?: number | undefined;
  /** The part of the interval that is drawn by chance, 0 to 1: 0.5 redelivers after 50 % to 100 % of it. Default 0 (Dubbo's). */
  readonly jitter?: number | undefined;
}

export interface ZoneAwareSettings {
  /** The caller's own zone, unless a call's metadata `registry.zone` names another. Default: the client's label `zone`. */
  readonly zone?: string | undefined;
  /** Zones that go before the caller's own, the first one first. Dubbo's `preferred`. Default none. */
  readonly preferred?: readonly string[] | undefined;
  /** Rather fail than leave the caller's zone. Dubbo's `registry.zone.force`. Default false. */
  readonly force?: boolean | undefined;
  /** Weights of the other zones; one that isn't named has 100, and 0 is called when no other is left. */
  readonly weights?: Readonly<Record<string, number>> | undefined;
}

/** More attempts than this aren't made by a retry or hedging policy, whatever it says (proposal A6). */
export const attemptsMax = 5;

/** The strategy that settings mean when they name none. */
export const clusterOf = ({ cluster, hedging }: ClusterSettings & { readonly cluster?: string | undefined }): string =>
  cluster ?? (hedging === undefined ? "failover" : "hedging");

/** Attempts that one logical call makes at most under these settings, transparent ones apart. `instances`: how many there are. */
export function attemptsAtMost(
  settings: ClusterSettings & { readonly cluster?: string | undefined },
  instances: number,
): number {
  const { retries = 2, retry, hedging, forking } = settings;
  switch (clusterOf(settings)) {
    case "failover":
    case "zone-aware":
      return retry === undefined ? retries + 1 : Math.min(retry.maxAttempts ?? 3, attemptsMax);
    case "hedging":
      return Math.min(hedging?.maxAttempts ?? 2, attemptsMax);
    case "forking":
      return Math.min(instances, (forking?.forks ?? 2) || instances);
    case "broadcast":
      return instances;
    default:
      return 1;
  }
}

/** What is wrong with settings that contradict one another, and what to do; undefined when nothing is. */
export function contradictionIn(
  settings: ClusterSettings & { readonly cluster?: string | undefined },
): { readonly message: string; readonly hint: string } | undefined {
  const { retries, retryOn, retry, hedging, idempotent, forking, broadcast, failback, zoneAware } = settings;
  const cluster = clusterOf(settings);
  const owned = { hedging, forking, broadcast, failback, "zone-aware": zoneAware };
  for (const [owner, given] of Object.entries(owned)) {
    if (given === undefined || owner === cluster) continue;
    const key = owner === "zone-aware" ? "zoneAware" : owner;
    return {
      message: `"${key}" says nothing to the cluster "${cluster}"`,
      hint: `cluster: "${owner}", or leave out "${key}"`,
    };
  }
  if (retry !== undefined && (retries !== undefined || retryOn !== undefined)) {
    const other = retries !== undefined ? "retries" : "retryOn";
    return { message: `"retry" and "${other}" say the same thing twice`, hint: `leave out "${other}"` };
  }
  if (retry !== undefined && cluster !== "failover" && cluster !== "zone-aware") {
    return {
      message: `"retry" says nothing to the cluster "${cluster}"`,
      hint: `cluster: "failover", or leave out "retry"`,
    };
  }
  if (retry?.initialBackoffMs !== undefined && retry.initialBackoffMs > (retry.maxBackoffMs ?? 1000)) {
    return { message: "initialBackoff is longer than maxBackoff", hint: "raise maxBackoff (default 1 s)" };
  }
  if (idempotent === false && (cluster === "hedging" || cluster === "forking")) {
    return {
      message: `the cluster "${cluster}" makes a call several times, and these calls aren't idempotent`,
      hint: `cluster: "failover" or "failfast"`,
    };
  }
  return undefined;
}

/** Where settings don't name the caller's zone its label does. */
export function withOwnZone(settings: ClusterSettings, labels: Readonly<Record<string, string>>): ClusterSettings {
  const { zone } = labels;
  return zone === undefined ? settings : { ...settings, zoneAware: { zone, ...settings.zoneAware } };
}

/** A rule that says how often to retry says it to a retry policy, too. */
export function withRetries(settings: ClusterSettings, retries: number | undefined): ClusterSettings {
  if (retries === undefined) return settings;
  const { retry } = settings;
  return { ...settings, retries, ...(retry && { retry: { ...retry, maxAttempts: retries + 1 } }) };
}
