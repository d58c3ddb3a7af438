import { RpcError } from "../call/status.ts";
import type { Clock } from "../ports/clock.ts";
import type { Disk } from "../ports/disk.ts";
import type { Instance, Registry, RemovalReason, ServiceSnapshot, Subscription } from "../ports/registry.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { MembershipChange } from "../telemetry/events.ts";
import { InstanceCache } from "./cache.ts";
import { endpointKey, endpointOf, type Endpoint, type EndpointStats } from "./endpoint.ts";

/** How much a directory believes the registry. */
export interface DirectoryOptions {
  /**
   * Refuses an empty list that can't be explained: see `Directory`. Default: asked again after 5,000 ms, believed after
   * 60,000 ms. `false` believes everything at once, as Dubbo's `enable-empty-protection: false` does.
   */
  readonly emptyProtection?: { readonly confirmAfterMs: number; readonly expireAfterMs: number } | false | undefined;
  /**
   * Changes that come within so many milliseconds after one that took effect take effect together, as the latest of them.
   * Default 0: each at once (the registry merges already).
   */
  readonly mergeMs?: number | undefined;
  /** Without an answer from the registry for so long, a cold start takes the list of the disk. Default 1000 ms. */
  readonly cacheAfterMs?: number | undefined;
}

export interface DirectoryPorts {
  readonly clock: Clock;
  readonly registry: Registry;
  /** Keeps the last known instances across restarts. */
  readonly disk?: Disk | undefined;
  readonly telemetry: Telemetry;
  readonly service: string;
  readonly options: DirectoryOptions;
  /** `endpoints` is this array from now on. */
  readonly onChange: (endpoints: readonly Endpoint[]) => void;
  /** An identity left the list, and no other of this service is at its address. */
  readonly onGone?: ((endpoint: Endpoint) => void) | undefined;
}

/** Statistics of instances that left, kept for their return. */
const departedMax = 1024;

/**
 * A consumer's live list of one service's instances.
 *
 * It fails static: while the registry is away the list stays, first in memory, then from the disk; an error is never an empty list. And it
 * doubts a registry that forgot (a restart) or that lost sight of everybody at once (a partition): a departure is believed at once when the
 * registry says that it knows of it, and an empty list only when every instance said goodbye. Otherwise those that are missing stay, *in
 * doubt*. Every `confirmAfterMs` the registry is asked again, and the calls made meanwhile are witnesses:
 *
 * - Who answered calls stays.
 * - Who was explained, and didn't answer any, goes.
 * - Who vanished without a reason goes when calls failed and others are left to call.
 *
 * After `expireAfterMs` the registry is believed whatever it says.
 */
export class Directory {
  /** Replaced, never changed; the same array as long as nothing changed. An identity keeps its object and its statistics. */
  endpoints: readonly Endpoint[] = [];

  readonly #ports: DirectoryPorts;
  readonly #cache: InstanceCache | undefined;
  readonly #subscription: Subscription;
  #byId: ReadonlyMap<string, Endpoint> = new Map();
  /** In the order in which they left. */
  readonly #departed = new Map<string, EndpointStats>();
  readonly #waiting = new Set<() => void>();
  /** Why instances left, since they were last seen: pushes that are merged or doubted must not lose it. */
  readonly #reasons = new Map<string, RemovalReason>();
  #version = -1;
  #doubt: Doubt | undefined;
  #merged: ServiceSnapshot | undefined;
  #disarmMerge: (() => void) | undefined;
  #disarmCache: (() => void) | undefined;
  #isClosed = false;

  constructor(ports: DirectoryPorts) {
    const { clock, registry, disk, service, options } = ports;
    this.#ports = ports;
    if (disk !== undefined) {
      this.#cache = new InstanceCache({ clock, disk, service });
      this.#disarmCache = clock.after((options.cacheAfterMs ?? 1000) * 1000, () => void this.#startFromCache());
    }
    this.#subscription = registry.watch(service, (snapshot) => this.#receive(snapshot));
  }

  /** Resolves when at least one instance is known; rejects with an `RpcError` UNAVAILABLE after `timeoutUs`. */
  ready(timeoutUs: number): Promise<void> {
    if (this.endpoints.length > 0) return Promise.resolve();
    const { clock, service, registry } = this.#ports;
    return new Promise((resolve, reject) => {
      const known = (): void => {
        this.#waiting.delete(known);
        disarm();
        resolve();
      };
      const disarm = clock.after(timeoutUs, () => {
        this.#waiting.delete(known);
        const { state, trouble } = registry;
        const isAway = `the registry is ${state}${trouble === undefined ? "" : ` (${trouble})`}`;
        const why = state === "connected" ? "the registry knows none" : isAway;
        reject(
          new RpcError(`no instance of ${service} within ${timeoutUs / 1000} ms: ${why}`, {
            code: "UNAVAILABLE",
            hint: "is a provider running, and registered at the same registry?",
          }),
        );
      });
      this.#waiting.add(known);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#subscription.close();
    this.#disarmMerge?.();
    this.#disarmCache?.();
    this.#cache?.close();
    this.#endDoubt();
  }

  #receive(snapshot: ServiceSnapshot): void {
    if (this.#isClosed || snapshot.version < this.#version) return;
    if (snapshot.version === this.#version) {
      this.#hearReasons(snapshot);
      return;
    }
    this.#version = snapshot.version;
    this.#disarmCache?.();
    this.#note(snapshot);
    if (this.#disarmMerge !== undefined) {
      this.#merged = snapshot;
      return;
    }
    this.#apply(snapshot);
    this.#mergeWhatFollows();
  }

  /** A second read may be faster than the push of the same version, but only the push says why. */
  #hearReasons(snapshot: ServiceSnapshot): void {
    const doubt = this.#doubt;
    if (doubt === undefined || snapshot.removed.length === 0) return;
    this.#note(snapshot);
    this.#apply(doubt);
  }

  #note({ removed }: ServiceSnapshot): void {
    // Who came and went unseen needs no reason, and must not gather here.
    for (const { id, reason } of removed) if (this.#byId.has(id)) this.#reasons.set(id, reason);
  }

  #mergeWhatFollows(): void {
    const mergeMs = this.#ports.options.mergeMs ?? 0;
    if (mergeMs <= 0) return;
    this.#disarmMerge = this.#ports.clock.after(mergeMs * 1000, () => {
      this.#disarmMerge = undefined;
      const latest = this.#merged;
      if (latest === undefined) return;
      this.#merged = undefined;
      this.#apply(latest);
      this.#mergeWhatFollows();
    });
  }

  #apply({ instances }: Pick<ServiceSnapshot, "instances">): void {
    const listed = this.#endpointsOf(instances);
    if (this.#reasons.size > 0) for (const { id } of instances) this.#reasons.delete(id);
    const missing = this.endpoints.filter(({ id }) => !listed.has(id));
    const doubted = this.#doubted(missing, instances.length === 0);
    if (doubted.length === 0) {
      this.#endDoubt();
      this.#replace(listed, [], "registry");
      return;
    }
    const isNew = this.#doubt === undefined;
    this.#doubt ??= this.#beginDoubt();
    this.#doubt.instances = instances;
    for (const { key, stats } of doubted) {
      if (!this.#doubt.before.has(key)) this.#doubt.before.set(key, { ...stats });
    }
    const hasChanged = this.#replace(listed, doubted, "protected");
    if (isNew && !hasChanged) this.#report("protected", []);
  }

  /** Those of the `missing` that stay for now. */
  #doubted(missing: readonly Endpoint[], isEmpty: boolean): readonly Endpoint[] {
    if (missing.length === 0 || this.#ports.options.emptyProtection === false) return [];
    return missing.filter(({ id }) => {
      const reason = this.#reasons.get(id);
      // Sessions that all run out at once, or run out when the registry forgot others, are more likely cut off than dead.
      const isDubious = isEmpty || this.#doubt !== undefined;
      return reason === undefined || (reason !== "deregistered" && isDubious);
    });
  }

  #beginDoubt(): Doubt {
    const { clock } = this.#ports;
    const { confirmAfterMs, expireAfterMs } = this.#protection();
    const doubt: Doubt = {
      instances: [],
      before: new Map(),
      disarmConfirm: clock.after(confirmAfterMs * 1000, () => void this.#confirm(doubt)),
      disarmExpiry: clock.after(expireAfterMs * 1000, () => {
        this.#endDoubt();
        this.#replace(this.#endpointsOf(doubt.instances), [], "expired-protection");
      }),
    };
    return doubt;
  }

  /** The second read: the registry says who is listed, the calls say who is alive. */
  async #confirm(doubt: Doubt): Promise<void> {
    const { clock, registry, service } = this.#ports;
    // Away altogether: that confirms nothing.
    const seen = await registry.lookup(service).catch(() => undefined);
    if (this.#doubt !== doubt) return;
    if (seen !== undefined && seen.version > this.#version) this.#receive({ ...seen, removed: [] });
    if (this.#doubt !== doubt) return;
    if (seen !== undefined && seen.version >= this.#version) this.#hearWitnesses(doubt);
    if (this.#doubt !== doubt) return;
    doubt.disarmConfirm = clock.after(this.#protection().confirmAfterMs * 1000, () => void this.#confirm(doubt));
  }

  #hearWitnesses(doubt: Doubt): void {
    const doubted = this.#doubtedNow(doubt);
    const hasSucceeded = ({ key, stats }: Endpoint): boolean =>
      stats.succeeded > (doubt.before.get(key)?.succeeded ?? 0);
    const hasFailed = ({ key, stats }: Endpoint): boolean => stats.failed > (doubt.before.get(key)?.failed ?? 0);
    let kept = doubted.filter(
      (endpoint) => hasSucceeded(endpoint) || (!this.#reasons.has(endpoint.id) && !hasFailed(endpoint)),
    );
    const unexplained = doubted.filter(({ id }) => !this.#reasons.has(id));
    if (kept.length + doubt.instances.length === 0) kept = unexplained;
    doubt.before.clear();
    for (const { key, stats } of kept) doubt.before.set(key, { ...stats });
    if (kept.length === 0) this.#endDoubt();
    this.#replace(this.#endpointsOf(doubt.instances), kept, "expired-protection");
  }

  #doubtedNow(doubt: Doubt): readonly Endpoint[] {
    const listed = new Set(doubt.instances.map(({ id }) => id));
    return this.endpoints.filter(({ id }) => !listed.has(id));
  }

  #endDoubt(): void {
    this.#doubt?.disarmConfirm();
    this.#doubt?.disarmExpiry();
    this.#doubt = undefined;
  }

  #protection(): { readonly confirmAfterMs: number; readonly expireAfterMs: number } {
    const chosen = this.#ports.options.emptyProtection;
    return chosen === undefined || chosen === false ? { confirmAfterMs: 5000, expireAfterMs: 60_000 } : chosen;
  }

  /** By id. An identity (id and address) keeps its object while nothing about it changes, its statistics in any case. */
  #endpointsOf(instances: readonly Instance[]): Map<string, Endpoint> {
    const endpoints = new Map<string, Endpoint>();
    for (const instance of instances) endpoints.set(instance.id, this.#endpoint(instance));
    return endpoints;
  }

  #endpoint(instance: Instance): Endpoint {
    const known = this.#byId.get(instance.id);
    if (known === undefined || known.address !== instance.address) {
      return endpointOf(instance, this.#departed.size > 0 ? this.#departed.get(endpointKey(instance)) : undefined);
    }
    const isSame = known.weight === instance.weight && haveSameEntries(known.metadata, instance.metadata);
    return isSame ? known : endpointOf(instance, known.stats);
  }

  /** Makes `next`, and behind them those `kept` in doubt, the list. O(n). */
  #replace(next: Map<string, Endpoint>, kept: readonly Endpoint[], source: MembershipChange["source"]): boolean {
    const before = this.endpoints;
    for (const endpoint of kept) next.set(endpoint.id, endpoint);
    const endpoints = [...next.values()];
    if (endpoints.length === before.length && endpoints.every((endpoint, index) => endpoint === before[index])) {
      return false;
    }
    const removed: { readonly id: string; readonly reason: RemovalReason | "unknown" }[] = [];
    const gone: Endpoint[] = [];
    for (const endpoint of before) {
      const { id, address, key, stats } = endpoint;
      const now = next.get(id);
      if (now?.address === address) continue;
      gone.push(endpoint);
      this.#remember(key, stats);
      if (now === undefined) removed.push({ id, reason: this.#reasons.get(id) ?? "unknown" });
      this.#reasons.delete(id);
    }
    this.#byId = next;
    this.endpoints = endpoints;
    this.#report(source, removed);
    if (source !== "cache" && endpoints.length > 0) this.#cache?.save(endpoints);
    this.#ports.onChange(endpoints);
    this.#tellGone(gone);
    if (endpoints.length > 0) for (const known of [...this.#waiting]) known();
    return true;
  }

  #tellGone(gone: readonly Endpoint[]): void {
    const { onGone } = this.#ports;
    if (gone.length === 0 || onGone === undefined) return;
    // Another identity may be at the same address: a node that took a new name.
    const addresses = new Set(this.endpoints.map(({ address }) => address));
    for (const endpoint of gone) if (!addresses.has(endpoint.address)) onGone(endpoint);
  }

  #remember(key: string, stats: EndpointStats): void {
    this.#departed.delete(key);
    this.#departed.set(key, stats);
    if (this.#departed.size <= departedMax) return;
    for (const oldest of this.#departed.keys()) {
      this.#departed.delete(oldest);
      return;
    }
  }

  #report(source: MembershipChange["source"], removed: MembershipChange["removed"]): void {
    const { clock, telemetry, service } = this.#ports;
    telemetry.emit({
      type: "membership",
      atUs: clock.nowUs(),
      service,
      version: Math.max(0, this.#version),
      instances: this.endpoints.map(({ id }) => id),
      removed,
      source,
    });
  }

  /** The registry didn't answer a cold start. Whatever it says later is newer. */
  async #startFromCache(): Promise<void> {
    const instances = await this.#cache?.load();
    if (instances === undefined || this.#version >= 0 || this.#isClosed) return;
    this.#replace(this.#endpointsOf(instances), [], "cache");
  }
}

/** A list of the registry's that isn't believed yet. */
interface Doubt {
  /** What the registry says. */
  instances: readonly Instance[];
  /** For each endpoint in doubt, its statistics when it was last looked at. */
  readonly before: Map<string, EndpointStats>;
  disarmConfirm: () => void;
  readonly disarmExpiry: () => void;
}

function haveSameEntries(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
