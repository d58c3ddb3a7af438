import type { Endpoint } from "../discovery/endpoint.ts";

/** Weights change in steps of at least so long, however long the list and however short the warm-up. */
const stepMinMs = 20;
const warmUpMaxMs = 86_400_000;

export interface WarmedUp {
  /** The same array, and the same objects, where nothing warms up. */
  readonly endpoints: readonly Endpoint[];
  /** Milliseconds until a weight changes; Infinity when all are warm. */
  readonly forMs: number;
}

/**
 * Dubbo's warm-up: an instance that registered `warmup` (milliseconds) and `timestamp` (of its start, milliseconds since the epoch; Go's
 * seconds too) has weight max(1, ⌊uptime / warmup · weight⌋) until it has been up for so long. By the caller's wall clock, so a clock that
 * is behind sees an instance as just started. An instance that registered none of the two is warm; weight 0 stays 0. Weights are what
 * balancers go by: those that ignore them (`round-robin`, `uniform-random`, consistent hashing) send everything at once.
 */
export function warmedUp(endpoints: readonly Endpoint[], wallMs: number): WarmedUp {
  let forMs = Infinity;
  let changed: Endpoint[] | undefined;
  for (let index = 0; index < endpoints.length; index++) {
    const endpoint = endpoints[index]!;
    const { warmup } = endpoint.metadata;
    if (warmup === undefined || endpoint.weight <= 1) continue;
    const warmUpMs = numberOf(warmup);
    const startMs = timestampOf(endpoint.metadata["timestamp"]);
    if (warmUpMs === undefined || warmUpMs > warmUpMaxMs || startMs === undefined) continue;
    const uptimeMs = wallMs - startMs;
    const weight = warmUpWeight(uptimeMs, warmUpMs, endpoint.weight);
    if (uptimeMs >= warmUpMs) continue;
    const nextMs = Math.ceil(((weight + 1) * warmUpMs) / endpoint.weight) - uptimeMs;
    forMs = Math.min(forMs, Math.max(stepMinMs, Math.min(nextMs, warmUpMs - uptimeMs)));
    changed ??= [...endpoints];
    // Key and statistics stay: balancing goes on where it was.
    changed[index] = { ...endpoint, weight };
  }
  return { endpoints: changed ?? endpoints, forMs };
}

/** An instance's weight after so long. A start that lies ahead is one that was just now. */
export function warmUpWeight(uptimeMs: number, warmUpMs: number, weight: number): number {
  if (weight <= 0) return 0;
  if (uptimeMs >= warmUpMs) return weight;
  return Math.min(weight, Math.max(1, Math.floor((uptimeMs / warmUpMs) * weight)));
}

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;

/** Java writes milliseconds, Go seconds. */
function timestampOf(text: string | undefined): number | undefined {
  const time = numberOf(text);
  return time !== undefined && time < 100_000_000_000 ? time * 1000 : time;
}
