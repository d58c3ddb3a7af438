import { create } from "@bufbuild/protobuf";

import {
  RemovalSchema,
  ServiceSnapshotSchema,
  type Instance,
  type Removal,
  type ServiceSnapshot,
} from "../../runtime/discovery/proto/registry_pb.ts";

/** Why an instance went. */
export type Reason = "deregistered" | "closed" | "expired";

/** Departures remembered with their reason, for watchers that were away for a while. */
const departuresMax = 20_000;
/** Those of them that are remembered whole. */
const instancesKeptMax = 1_000;

/** One service's instances, with the history that explains a change to whoever saw an earlier version. */
export class Catalog {
  readonly service: string;
  /** In the order of registration; the owner is a session's id. */
  readonly instances = new Map<string, { readonly instance: Instance; readonly owner: string }>();
  #version: number;
  /** By ascending version. */
  #departures: { readonly version: number; readonly id: string; readonly reason: Reason }[] = [];
  /** The present version for who knows nothing, and for readers of earlier versions: watchers share both. */
  #whole: ServiceSnapshot | undefined;
  readonly #changes = new Map<number, ServiceSnapshot>();
  /** What left last, in the order of leaving; only a fault brings it back. */
  readonly #departed = new Map<string, Instance>();

  constructor(service: string, version: number) {
    this.service = service;
    this.#version = version;
  }

  get version(): number {
    return this.#version;
  }

  /** Adds or replaces; the version grows only when readers can see a difference. */
  put(instance: Instance, owner: string): void {
    const known = this.instances.get(instance.id);
    this.instances.set(instance.id, { instance, owner });
    if (known === undefined || !isSame(known.instance, instance)) this.#changed();
  }

  /** Removes the instance if it belongs to `owner`; says whether it did. */
  remove(id: string, owner: string, reason: Reason): boolean {
    const known = this.instances.get(id);
    if (known?.owner !== owner) return false;
    this.instances.delete(id);
    this.#departed.delete(id);
    this.#departed.set(id, known.instance);
    if (this.#departed.size > instancesKeptMax) this.#departed.delete(this.#departed.keys().next().value!);
    this.#changed();
    this.#departures.push({ version: this.#version, id, reason });
    if (this.#departures.length > 2 * departuresMax) this.#departures = this.#departures.slice(-departuresMax);
    return true;
  }

  /** An instance that has left, as it was. */
  departed(id: string): Instance | undefined {
    return this.#departed.get(id);
  }

  /** A new version, though nothing has changed: every reader is told once more. */
  touch(): void {
    this.#changed();
  }

  /** What a reader that has version `since` is told. */
  snapshot(since: number): ServiceSnapshot {
    const whole = (this.#whole ??= create(ServiceSnapshotSchema, {
      service: this.service,
      version: this.#version,
      instances: Array.from(this.instances.values(), ({ instance }) => instance),
    }));
    let change = this.#changes.get(since);
    if (change === undefined) {
      const removed = this.#removedSince(since);
      change = removed.length === 0 ? whole : { ...whole, removed };
      this.#changes.set(since, change);
    }
    return change;
  }

  /** A message that says nothing but that the watch is alive: its version isn't newer than what the reader has. */
  heartbeat(version: number): ServiceSnapshot {
    return create(ServiceSnapshotSchema, { service: this.service, version });
  }

  #removedSince(since: number): Removal[] {
    const latest = new Map<string, Reason>();
    for (let index = this.#departures.length - 1; index >= 0; index--) {
      const { version, id, reason } = this.#departures[index]!;
      if (version <= since) break;
      // Who came back isn't gone; of several departures the last one counts.
      if (!this.instances.has(id) && !latest.has(id)) latest.set(id, reason);
    }
    return Array.from(latest, ([id, reason]) => create(RemovalSchema, { id, reason })).reverse();
  }

  #changed(): void {
    this.#version++;
    this.#whole = undefined;
    this.#changes.clear();
  }
}

function isSame(a: Instance, b: Instance): boolean {
  if (a.address !== b.address || a.weight !== b.weight) return false;
  const keys = Object.keys(a.metadata);
  return keys.length === Object.keys(b.metadata).length && keys.every((key) => a.metadata[key] === b.metadata[key]);
}
