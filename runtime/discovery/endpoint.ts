import type { Instance } from "../ports/registry.ts";

/** What this client knows of an instance from its own calls. It belongs to the identity, and outlives membership changes. */
export interface EndpointStats {
  /** Attempts begun and not ended. */
  inFlight: number;
  /** Attempts ended, by outcome. */
  succeeded: number;
  failed: number;
}

/** An instance as balancing sees it: immutable but for its statistics, which later snapshots of the same identity share. */
export interface Endpoint {
  /** The instance's id; `key` is the identity (id and address), because a node may come back elsewhere. */
  readonly id: string;
  readonly key: string;
  readonly address: string;
  /** An integer ≥ 0, after overrides. */
  readonly weight: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly stats: EndpointStats;
}

export function endpointOf(instance: Instance, stats?: EndpointStats): Endpoint {
  return {
    id: instance.id,
    key: endpointKey(instance),
    address: instance.address,
    weight: instance.weight,
    metadata: instance.metadata,
    stats: stats ?? { inFlight: 0, succeeded: 0, failed: 0 },
  };
}

export function endpointKey(instance: { readonly id: string; readonly address: string }): string {
  return `${instance.id}@${instance.address}`;
}
