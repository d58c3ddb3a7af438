import { noMetadata, type Metadata } from "../call/metadata.ts";
import type { RpcCode } from "../call/status.ts";
import type { Instance } from "../ports/registry.ts";

/** What this client knows of an instance from its own calls. It belongs to the identity, and outlives membership changes. */
export interface EndpointStats {
  /** Attempts begun and not ended. */
  inFlight: number;
  /** Attempts ended, by outcome. */
  succeeded: number;
  failed: number;
  /** Told of every attempt that ended: what load metrics measure. */
  readonly observers: ((attempt: AttemptEnd) => void)[];
  /** Told of every change of `inFlight`: +1, -1. */
  readonly watchers: ((change: 1 | -1) => void)[];
}

/** How an attempt ended, as its caller saw it. */
export interface AttemptEnd {
  readonly code: RpcCode;
  /** The method's path. */
  readonly method: string;
  /** What the instance said beside its answer. */
  readonly trailers: Metadata;
  readonly latencyUs: number;
  /** On the client's monotonic clock. */
  readonly endUs: number;
}

export const noStats = (): EndpointStats => ({ inFlight: 0, succeeded: 0, failed: 0, observers: [], watchers: [] });

/** An instance as balancing sees it: immutable but for its statistics, which later snapshots of the same identity share. */
export interface Endpoint {
  /** The instance's id; `key` is the identity (id and address), because a node may come back elsewhere. */
  readonly id: string;
  readonly key: string;
  readonly address: string;
  /** An integer ≥ 0, after overrides. */
  readonly weight: number;
  /** Time for an attempt at it, by override. Default: as its callers have it. */
  readonly attemptTimeoutMs?: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** What calls to it carry so that it finds the service that is meant; empty for our own, which serve one each. */
  readonly addressing: Metadata;
  readonly stats: EndpointStats;
}

export function endpointOf(instance: Instance, stats?: EndpointStats): Endpoint {
  return {
    id: instance.id,
    key: endpointKey(instance),
    address: instance.address,
    weight: instance.weight,
    metadata: instance.metadata,
    addressing: addressingOf(instance.metadata),
    stats: stats ?? noStats(),
  };
}

export function endpointKey(instance: { readonly id: string; readonly address: string }): string {
  return `${instance.id}@${instance.address}`;
}

/**
 * A provider that isn't ours keeps its Dubbo services apart by group and version, which its label `group` and `version` tell; a call that
 * doesn't name them finds "no implementation" (Triple's headers, measured with dubbo-go 3.3.2). Who demands a token registers it, as
 * Dubbo's token filter does.
 */
function addressingOf({ group, version, token }: Instance["metadata"]): Metadata {
  if (group === undefined && token === undefined) return noMetadata;
  return new Map([
    ...(group === undefined ? [] : [["tri-service-group", group] as const]),
    ...(group === undefined || version === undefined ? [] : [["tri-service-version", version] as const]),
    ...(token === undefined ? [] : [["token", token] as const]),
  ]);
}
