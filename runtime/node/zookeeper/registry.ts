import { createBackoff } from "../../call/backoff.ts";
import { RpcError, toRpcError } from "../../call/status.ts";
import { checkInstance } from "../../discovery/dubbo.ts";
import { protocolOf } from "../../protocols/names.ts";
import type { RegistryConnection } from "../../ports/infrastructure.ts";
import type {
  Instance,
  Registration,
  Registry,
  RegistryState,
  ServiceSnapshot,
  Subscription,
} from "../../ports/registry.ts";
import {
  applicationPath,
  instanceContent,
  mappingPath,
  metadataPath,
  offerOf,
  portOf,
  type Offer,
} from "./application-level.ts";
import { ZooKeeperClient } from "./client.ts";
import { consumerNode, consumersPath, providerNode, providerOfNode, providersPath } from "./interface-level.ts";
import { LastingWatch } from "./lasting-watch.ts";
import { isReason, type Change } from "./protocol.ts";
import { ServiceReader, type Found, type Level, type ReaderOptions } from "./reader.ts";

export interface ZooKeeperRegistryOptions extends RegistryConnection {
  readonly servers: readonly string[];
  readonly chroot: string;
  readonly dial: (address: string) => string;
  readonly level: Level;
  readonly acceptsAnyGroup: boolean;
}

/** What a session lasts when nobody says; the embedded registry's, so that fleets behave alike. */
const defaultSessionTimeoutMs = 6000;

/**
 * ZooKeeper as the registry, in Dubbo's formats at both of its levels. An instance's nodes are made in one transaction, so it
 * comes and goes as one.
 *
 * - An instance has one node at each level, and the latest registration of its address wins: nodes that a dead predecessor left
 *   are taken over at once instead of vanishing under its successor when the predecessor's session expires.
 * - After an expiry everything is registered again, spread over T/12 at most: a fleet that lost its registry doesn't come back in
 *   one moment.
 * - A create or delete whose answer was lost is looked up before it is tried again.
 * - Nodes that somebody else deleted are made again, unless another registration of the address has taken their place.
 *
 * `register` resolves when ZooKeeper has confirmed. While it is away it goes on trying without end; it rejects when ZooKeeper
 * refuses the instance, or with CANCELLED when it is withdrawn by `close`.
 */
export class ZooKeeperRegistry implements Registry {
  readonly #options: ZooKeeperRegistryOptions;
  readonly #client: ZooKeeperClient;
  readonly #held = new Map<string, Held>();
  readonly #watches = new Set<Subscription>();
  readonly #consumers = new Map<string, Consumer>();
  /** Paths known to exist in this session's tree. */
  readonly #made = new Set<string>();
  /** Nodes of ours that nobody wants any more, and that couldn't be deleted yet. */
  readonly #leftovers = new Set<string>();
  readonly #sleepers = new Set<() => void>();
  #state: RegistryState = "connecting";
  #trouble: string | undefined;

  constructor(options: ZooKeeperRegistryOptions) {
    this.#options = options;
    const { clock, random, servers, chroot, dial, sessionTimeoutMs = defaultSessionTimeoutMs } = options;
    this.#client = new ZooKeeperClient({
      clock,
      random: random.fork("zookeeper"),
      servers,
      chroot,
      dial,
      sessionTimeoutMs,
      onState: (state, trouble) => this.#hearState(state, trouble),
    });
    this.#client.onSession(() => this.#renew());
  }

  get state(): RegistryState {
    return this.#state;
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  async register(instance: Instance): Promise<Registration> {
    this.#refuseClosed();
    checkInstance(instance);
    if (unspeakable.test(instance.service)) {
      throw new RpcError(`ZooKeeper takes no path with "${instance.service}"`, { code: "INVALID_ARGUMENT" });
    }
    const key = `${instance.service}\n${instance.id}`;
    const earlier = this.#held.get(key);
    const held: Held = {
      ...this.#nodesOf(instance),
      isWanted: true,
      session: undefined,
      superseded: earlier === undefined ? [] : [...earlier.superseded, earlier.provider, earlier.application],
      working: earlier?.working ?? Promise.resolve(),
      heal: () => void this.#heal(held),
    };
    if (earlier !== undefined) this.#retire(earlier);
    this.#held.set(key, held);
    try {
      await this.#publish(held, { isFirst: true });
    } catch (error) {
      if (this.#held.get(key) === held) this.#held.delete(key);
      throw error;
    }
    return { deregister: () => this.#deregister(key, held) };
  }

  async lookup(service: string): Promise<ServiceSnapshot> {
    this.#refuseClosed();
    const { version, instances } = await this.#client.inTime(new ServiceReader(this.#readerOptions, service).read());
    return { service, version, instances, removed: [] };
  }

  watch(service: string, listener: (snapshot: ServiceSnapshot) => void): Subscription {
    const { clock, random } = this.#options;
    const reader = new ServiceReader(this.#readerOptions, service);
    let latest = -1;
    let told: string | undefined;
    let present: readonly Instance[] = [];
    let losses = 0;
    const watch = new LastingWatch<Found>({
      clock,
      random: random.fork(`watch ${service}`),
      client: this.#client,
      read: (watcher) => reader.read(watcher),
      onEvent: (path) => reader.outdated(path),
      onSession: () => reader.allOutdated(),
      tell: ({ version, instances }) => {
        const content = JSON.stringify(instances);
        if (content === told) return true;
        if (version <= latest) return false;
        latest = version;
        told = content;
        // A session that was closed and one that expired look the same. What servers forgot has no reason at all.
        const left = losses === this.#client.losses ? absent(present, instances) : [];
        present = instances;
        losses = this.#client.losses;
        listener({ service, version, instances, removed: left.map((id) => ({ id, reason: "gone" })) });
        return true;
      },
    });
    const subscription = {
      close: () => {
        watch.close();
        if (this.#watches.delete(subscription)) this.#leave(service);
      },
    };
    if (this.#state === "closed") {
      watch.close();
    } else {
      this.#watches.add(subscription);
      this.#join(service);
    }
    return subscription;
  }

  expireSession(): Promise<void> {
    return this.#client.expire();
  }

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#hearState("closed");
    for (const watch of [...this.#watches]) watch.close();
    for (const held of this.#held.values()) this.#retire(held);
    this.#held.clear();
    for (const wake of [...this.#sleepers]) wake();
    await this.#client.close();
  }

  get #readerOptions(): ReaderOptions {
    const { level, interfaceName, acceptsAnyGroup } = this.#options;
    return { client: this.#client, level, interfaceName, acceptsAnyGroup };
  }

  #hearState(state: "connected" | "suspended" | "expired" | "closed", trouble?: string): void {
    const { clock, telemetry } = this.#options;
    this.#trouble = trouble;
    if (this.#state === state || this.#state === "closed") return;
    if (state !== "expired") this.#state = state;
    telemetry.emit({ type: "registry", atUs: clock.nowUs(), state });
    if (state === "connected") void this.#sweep();
  }

  /** In a new session nothing is registered. */
  #renew(): void {
    this.#made.clear();
    this.#leftovers.clear();
    for (const service of this.#consumers.keys()) void this.#announce(service);
    if (this.#client.sessions <= 1) return;
    for (const held of this.#held.values()) void this.#publishAgain(held);
  }

  async #publishAgain(held: Held): Promise<void> {
    await this.#spread();
    await this.#publish(held, { isFirst: false }).catch(() => undefined);
  }

  /** A moment of this client's own: a fleet whose sessions ended together doesn't come back together. */
  #spread(): Promise<void> {
    return this.#pause(this.#options.random.below(Math.max(1, Math.round((this.#client.timeoutMs * 1000) / 12))));
  }

  /** Resolves when the present session holds the instance, or nobody wants it any more. One thing at a time for an instance. */
  #publish(held: Held, options: { readonly isFirst: boolean }): Promise<void> {
    const published = held.working.then(() => this.#tryToPublish(held, options));
    held.working = published.catch(() => undefined);
    return published;
  }

  async #tryToPublish(held: Held, { isFirst }: { readonly isFirst: boolean }): Promise<void> {
    const backoff = createBackoff(this.#options.random.fork(`register ${held.instance.id}`));
    for (;;) {
      this.#refuseClosed();
      if (!held.isWanted) return;
      try {
        await this.#client.connected();
        const session = this.#client.session?.id;
        if (held.session !== undefined && held.session === session) return;
        await this.#make(held, session ?? 0n);
        // The answer came within the session that was asked: nothing was lost in between.
        if (session === this.#client.session?.id) held.session = session;
      } catch (thrown) {
        this.#refuseClosed();
        const { code } = toRpcError(thrown);
        if (isFirst && (code === "INVALID_ARGUMENT" || code === "PERMISSION_DENIED")) throw thrown;
        // The tree isn't as it was: look again at everything.
        this.#made.clear();
        await this.#pause(backoff.nextUs());
      }
    }
  }

  /** Makes the nodes of an instance in one step, in place of whatever was registered at its address or by it before. */
  async #make(held: Held, session: bigint): Promise<void> {
    const { level } = this.#options;
    await this.#prepare(held);
    const changes: Change[] = [];
    const gone = new Set<string>();
    const remove = async (path: string): Promise<void> => {
      if (gone.has(path)) return;
      gone.add(path);
      if ((await this.#client.exists(path)) !== undefined) changes.push({ type: "delete", path });
    };
    for (const path of held.superseded) if (path !== held.provider && path !== held.application) await remove(path);
    if (level !== "application") {
      for (const path of await this.#siblings(held)) await remove(path);
      await this.#replace(held.provider, Buffer.alloc(0), session, changes);
    }
    if (level !== "interface") await this.#replace(held.application, Buffer.from(held.content), session, changes);
    if (changes.length > 0) await this.#client.multi(changes);
    held.superseded = [];
    await this.#client.exists(level === "interface" ? held.provider : held.application, held.heal);
  }

  async #replace(path: string, data: Buffer, session: bigint, changes: Change[]): Promise<void> {
    const stat = await this.#client.exists(path);
    if (stat !== undefined) {
      const isOurs = stat.ephemeralOwner === session;
      if (isOurs && (await this.#client.getData(path)).data.equals(data)) return;
      changes.push({ type: "delete", path, version: stat.version });
    }
    changes.push({ type: "create", path, data, isEphemeral: true });
  }

  /** Other nodes of the same service and address, at interface level. */
  async #siblings({ instance, provider }: Held): Promise<readonly string[]> {
    const { interfaceName } = this.#options;
    const { service, address } = instance;
    const directory = providersPath(interfaceName);
    const asked = { interfaceName, service, acceptsAnyGroup: false };
    const { names } = await this.#client.getChildren(directory);
    return names
      .filter((name) => providerOfNode(name, asked)?.instance.address === address)
      .map((name) => `${directory}/${name}`)
      .filter((path) => path !== provider);
  }

  /** Everything that outlives sessions: directories, and at application level the metadata and the mapping. */
  async #prepare({ instance, offer }: Held): Promise<void> {
    const { level, interfaceName } = this.#options;
    if (level !== "application") await this.#once(providersPath(interfaceName));
    if (level === "interface") return;
    const { service } = instance;
    await this.#once(applicationPath(service));
    await this.#once(metadataPath(service, offer.revision), async (path) => {
      await this.#client.makePath(path.slice(0, path.lastIndexOf("/")));
      await this.#client.create(path, Buffer.from(offer.content)).catch(unless("node-exists"));
    });
    await this.#once(`${mappingPath(interfaceName)} ${service}`, () => this.#map(service));
  }

  async #once(path: string, make = (each: string) => this.#client.makePath(each)): Promise<void> {
    if (this.#made.has(path)) return;
    await make(path);
    this.#made.add(path);
  }

  /** Adds an application to those that offer the interface; several may do so at once. */
  async #map(application: string): Promise<void> {
    const path = mappingPath(this.#options.interfaceName);
    await this.#client.makePath(path.slice(0, path.lastIndexOf("/")));
    for (;;) {
      try {
        const { data, stat } = await this.#client.getData(path);
        const present = data.toString("utf8");
        if (present.split(",").includes(application)) return;
        const next = present === "" ? application : `${present},${application}`;
        await this.#client.setData(path, Buffer.from(next), stat.version);
        return;
      } catch (error) {
        if (isReason(error, "bad-version")) continue;
        if (!isReason(error, "no-node")) throw error;
      }
      const created = await this.#client.create(path, Buffer.from(application)).catch(unless("node-exists"));
      if (created !== undefined) return;
    }
  }

  /** A node of ours has changed or gone, and not by our doing. */
  async #heal(held: Held): Promise<void> {
    try {
      await held.working;
      if (!held.isWanted || held.session === undefined || held.session !== this.#client.session?.id) return;
      const { level } = this.#options;
      const path = level === "interface" ? held.provider : held.application;
      const stat = await this.#client.exists(path, held.heal);
      if (stat !== undefined) return;
      // Who registered the address later has taken our place.
      if (level !== "application" && (await this.#siblings(held)).length > 0) return;
      this.#client.forget(held.heal);
      held.session = undefined;
      await this.#publish(held, { isFirst: false });
    } catch {
      // Without a connection nothing can be healed; with the next session everything is registered again, and with the same
      // one the watch is set again.
    }
  }

  async #deregister(key: string, held: Held): Promise<void> {
    if (!held.isWanted) return;
    this.#retire(held);
    if (this.#held.get(key) === held) this.#held.delete(key);
    const done = held.working.then(() => this.#unmake(held));
    held.working = done.catch(() => undefined);
    await done;
  }

  #retire(held: Held): void {
    held.isWanted = false;
    this.#client.forget(held.heal);
  }

  async #unmake(held: Held): Promise<void> {
    // With its session the instance has gone too.
    if (this.#state === "closed") return;
    const paths = [held.provider, held.application, ...held.superseded];
    for (const path of paths) this.#leftovers.add(path);
    await this.#client.inTime(this.#remove(paths));
  }

  /** Deletes those nodes that are ours, in one step. */
  async #remove(paths: readonly string[]): Promise<void> {
    const stats = await Promise.all(paths.map((path) => this.#client.exists(path)));
    const session = this.#client.session?.id;
    const ours = paths.filter((_, index) => stats[index] !== undefined && stats[index].ephemeralOwner === session);
    if (ours.length > 0) {
      const changes = ours.map((path): Change => ({ type: "delete", path }));
      await this.#client.multi(changes).catch(async (error: unknown) => {
        if (!isReason(error, "no-node")) throw error;
        // One has gone by itself: the others one by one.
        for (const path of ours) await this.#client.delete(path).catch(unless("no-node"));
      });
    }
    for (const path of paths) this.#leftovers.delete(path);
  }

  async #sweep(): Promise<void> {
    if (this.#leftovers.size > 0) await this.#remove([...this.#leftovers]).catch(() => undefined);
  }

  /** Shows that this application consumes a service, for consoles; nothing depends on it. */
  #join(service: string): void {
    if (this.#options.level === "application") return;
    const known = this.#consumers.get(service);
    if (known !== undefined) known.watches++;
    else this.#consumers.set(service, { watches: 1, timestampMs: this.#options.clock.wallMs(), node: undefined });
    if (known === undefined && this.#client.session !== undefined) void this.#announce(service);
  }

  #leave(service: string): void {
    const known = this.#consumers.get(service);
    if (known === undefined || --known.watches > 0) return;
    this.#consumers.delete(service);
    if (known.node !== undefined && this.#state !== "closed") {
      void this.#client.delete(known.node).catch(() => undefined);
    }
  }

  async #announce(service: string): Promise<void> {
    const consumer = this.#consumers.get(service);
    if (consumer === undefined) return;
    const { interfaceName, application } = this.#options;
    const { timestampMs } = consumer;
    if (this.#client.sessions > 1) await this.#spread();
    const host = this.#client.localAddress.replace(/^.*:(.+)$/, "[$&]");
    const directory = consumersPath(interfaceName);
    const node = `${directory}/${consumerNode({ host, application, service, timestampMs }, interfaceName)}`;
    try {
      await this.#client.makePath(directory);
      await this.#client.create(node, new Uint8Array(), { isEphemeral: true }).catch(unless("node-exists"));
      if (this.#consumers.get(service) === consumer) consumer.node = node;
      else await this.#client.delete(node);
    } catch {
      // The next session tries again.
    }
  }

  #nodesOf(instance: Instance): Pick<Held, "instance" | "provider" | "application" | "content" | "offer"> {
    const { clock, interfaceName } = this.#options;
    const { service, address } = instance;
    const timestampMs = clock.wallMs();
    const offer = offerOf(service, interfaceName, portOf(address), protocolOf(instance));
    return {
      instance,
      provider: `${providersPath(interfaceName)}/${providerNode(instance, interfaceName, timestampMs)}`,
      application: `${applicationPath(service)}/${address}`,
      content: instanceContent(instance, offer.revision, timestampMs),
      offer,
    };
  }

  #refuseClosed(): void {
    if (this.#state === "closed") throw new RpcError("the registry client was closed", { code: "CANCELLED" });
  }

  /** Waits, but no longer than this client lives. */
  #pause(delayUs: number): Promise<void> {
    if (this.#state === "closed") return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(wake);
        disarm();
        resolve();
      };
      const disarm = this.#options.clock.after(delayUs, wake);
      this.#sleepers.add(wake);
    });
  }
}

/** An instance that shall be registered. */
interface Held {
  readonly instance: Instance;
  /** Its nodes: at interface level, and at application level. */
  readonly provider: string;
  readonly application: string;
  /** Of the node at application level. */
  readonly content: string;
  readonly offer: Offer;
  /** The session under which ZooKeeper has confirmed it. */
  session: bigint | undefined;
  isWanted: boolean;
  /** Nodes of earlier registrations of the same instance. */
  superseded: readonly string[];
  working: Promise<void>;
  readonly heal: () => void;
}

interface Consumer {
  watches: number;
  readonly timestampMs: number;
  node: string | undefined;
}

/** The ids of those that were there before and aren't now. */
function absent(before: readonly Instance[], now: readonly Instance[]): readonly string[] {
  const ids = new Set(now.map(({ id }) => id));
  return before.map(({ id }) => id).filter((id) => !ids.has(id));
}

/** Characters that ZooKeeper refuses in paths (PathUtils.validatePath). */
const unspeakable = /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/;

/** Swallows ZooKeeper's `reason`. */
const unless =
  (reason: "node-exists" | "no-node") =>
  (error: unknown): undefined => {
    if (!isReason(error, reason)) throw error;
    return undefined;
  };
