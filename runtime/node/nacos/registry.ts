import { RpcError } from "../../call/status.ts";
import { checkInstance, merged } from "../../discovery/dubbo.ts";
import { ServiceView } from "../../discovery/view.ts";
import type { RegistryConnection } from "../../ports/infrastructure.ts";
import type {
  Instance,
  Registration,
  Registry,
  RegistryState,
  RemovalReason,
  ServiceSnapshot,
  Subscription,
} from "../../ports/registry.ts";
import { announce } from "./application.ts";
import type { NacosConfigCenter } from "./config-center.ts";
import {
  applicationService,
  interfaceService,
  providersOf,
  registrationsOf,
  revisionsOf,
  type Level,
} from "./format.ts";
import type { Hold, Naming, Sighting } from "./naming.ts";
import { Offers, type Revision } from "./offers.ts";

export interface NacosRegistryOptions extends RegistryConnection {
  readonly naming: Naming;
  /** Where the applications that offer an interface are listed, and what they offer. */
  readonly openConfig: () => NacosConfigCenter;
  readonly level: Level;
}

/**
 * A registry in Nacos, in Dubbo's formats. With level "all" an instance stands under both names, and a watch looks under both: an
 * address that is found twice is one instance.
 */
export class NacosRegistry implements Registry {
  readonly #options: NacosRegistryOptions;
  readonly #held = new Map<string, Held>();
  readonly #tracked = new Map<string, Tracked>();
  readonly #offers: Offers;
  #opened: NacosConfigCenter | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NacosRegistryOptions) {
    this.#options = options;
    this.#offers = new Offers({ ...options, config: () => this.#config });
  }

  get state(): RegistryState {
    return this.#closing === undefined ? this.#options.naming.state : "closed";
  }

  get trouble(): string | undefined {
    return this.#options.naming.trouble;
  }

  async register(instance: Instance): Promise<Registration> {
    checkInstance(instance);
    if (this.#closing !== undefined) throw closed();
    const { naming, clock, random, application, interfaceName, level } = this.#options;
    const key = `${instance.service}\n${instance.id}`;
    const earlier = this.#held.get(key);
    const held: Held = { instance, holds: [], isWanted: true };
    this.#held.set(key, held);
    if (earlier !== undefined) await this.#replace(earlier, instance);
    if (!held.isWanted) throw closed();
    const registrations = registrationsOf(instance, { application, interfaceName, level, timestampMs: clock.wallMs() });
    held.holds = registrations.map((registration) => naming.hold(registration));
    if (level !== "interface") void announce(this.#config, instance, { clock, random, interfaceName });
    try {
      await Promise.all(held.holds.map(({ confirmed }) => confirmed));
    } catch (error) {
      if (this.#held.get(key) === held) {
        this.#held.delete(key);
        await this.#letGo(held).catch(() => undefined);
      }
      throw error;
    }
    return {
      deregister: async () => {
        if (this.#held.get(key) !== held) return;
        this.#held.delete(key);
        await this.#letGo(held);
      },
    };
  }

  async lookup(service: string): Promise<ServiceSnapshot> {
    if (this.#closing !== undefined) throw closed();
    const { naming } = this.#options;
    const tracked = this.#track(service);
    const sightings = await Promise.all(tracked.sources.map(({ name }) => naming.read(name)));
    for (const [index, sighting] of sightings.entries()) this.#see(tracked, tracked.sources[index]!, sighting);
    await this.#offers.known(offeredBy(tracked));
    this.#show(tracked);
    return tracked.view.snapshot;
  }

  watch(service: string, listener: (snapshot: ServiceSnapshot) => void): Subscription {
    if (this.#closing !== undefined) return { close: () => undefined };
    const { naming } = this.#options;
    const tracked = this.#track(service);
    const watching = tracked.view.watch(listener);
    if (tracked.watchers++ === 0) {
      for (const source of tracked.sources) {
        source.subscription = naming.subscribe(source.name, (sighting) => this.#see(tracked, source, sighting));
      }
    }
    let isOpen = true;
    return {
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        watching.close();
        if (--tracked.watchers === 0) endWatching(tracked);
      },
    };
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    for (const tracked of this.#tracked.values()) endWatching(tracked);
    for (const held of this.#held.values()) held.isWanted = false;
    this.#held.clear();
    await this.#options.naming.close();
    await this.#opened?.close();
  }

  /** Opened when somebody is registered at application level, or a foreign application is met there. */
  get #config(): NacosConfigCenter {
    return (this.#opened ??= this.#options.openConfig());
  }

  /** What stays at its address is overwritten there; nothing shall be seen in between. */
  async #replace(earlier: Held, { address }: Instance): Promise<void> {
    earlier.isWanted = false;
    if (earlier.instance.address === address) for (const hold of earlier.holds) hold.abandon();
    else await this.#letGo(earlier).catch(() => undefined);
  }

  async #letGo(held: Held): Promise<void> {
    held.isWanted = false;
    await Promise.all(held.holds.map((hold) => hold.release()));
  }

  #track(service: string): Tracked {
    let tracked = this.#tracked.get(service);
    if (tracked === undefined) {
      const { interfaceName, level } = this.#options;
      const names = [
        ...(level === "application" ? [] : [interfaceService(interfaceName, service)]),
        ...(level === "interface" ? [] : [applicationService(service)]),
      ];
      tracked = {
        service,
        view: new ServiceView(service),
        sources: names.map((name) => ({ name, subscription: undefined, seen: undefined })),
        reasons: new Map(),
        watchers: 0,
      };
      this.#tracked.set(service, tracked);
    }
    return tracked;
  }

  #see(tracked: Tracked, source: Source, sighting: Sighting): void {
    if (this.#closing !== undefined) return;
    const { seen } = source;
    // Reads and pushes may overtake one another.
    if (seen !== undefined && sighting.incarnation < seen.incarnation) return;
    if (seen !== undefined && sighting.incarnation === seen.incarnation && sighting.order < seen.order) return;
    this.#explain(tracked, source, sighting);
    source.seen = sighting;
    this.#show(tracked);
    if (tracked.watchers > 0) this.#offers.learn(offeredBy(tracked), () => this.#show(tracked));
  }

  /** What was seen is told, as far as it is known what it offers. */
  #show(tracked: Tracked): void {
    if (this.#closing !== undefined || tracked.sources.some(({ seen }) => seen === undefined)) return;
    // The first list is whole.
    const isLooking = offeredBy(tracked).some((revision) => this.#offers.offerOf(revision) === undefined);
    if (tracked.view.version === 0 && isLooking) return;
    const providers = tracked.sources.flatMap(({ name, seen }) =>
      providersOf(tracked.service, seen!.hosts, (revision) => this.#offers.offerOf([name, revision])),
    );
    tracked.view.see(merged(providers), ({ address }) => tracked.reasons.get(address));
    for (const address of tracked.reasons.keys()) if (!isListed(tracked, address)) tracked.reasons.delete(address);
  }

  /** Why those that are no longer seen went, as far as that can be known. */
  #explain({ reasons }: Tracked, { seen }: Source, next: Sighting): void {
    const isSameServer = seen?.incarnation === next.incarnation;
    const present = new Map(next.hosts.map((host) => [`${host.ip}:${host.port}`, host]));
    for (const { ip, port, isHealthy } of seen?.hosts ?? []) {
      const address = `${ip}:${port}`;
      const now = present.get(address);
      if (now === undefined && isSameServer && isHealthy) reasons.set(address, this.#options.naming.vanished);
      else if (now === undefined && !isSameServer && isHealthy) reasons.delete(address);
    }
    for (const [address, { isHealthy, isEnabled }] of present) {
      if (isHealthy && isEnabled) reasons.delete(address);
      // A server that was paused takes everybody for dead until it has heard from them.
      else if (isSameServer) reasons.set(address, isHealthy ? "deregistered" : "expired");
    }
  }
}

/** The foreign applications' revisions among what was seen. */
const offeredBy = ({ sources }: Tracked): readonly Revision[] =>
  sources.flatMap(({ name, seen }) => [...revisionsOf(seen?.hosts ?? [])].map((revision) => [name, revision] as const));

function isListed({ sources }: Tracked, address: string): boolean {
  return sources.some(({ seen }) => seen?.hosts.some(({ ip, port }) => `${ip}:${port}` === address));
}

function endWatching({ sources }: Tracked): void {
  for (const source of sources) {
    source.subscription?.close();
    source.subscription = undefined;
  }
}

const closed = (): RpcError => new RpcError("the registry client was closed", { code: "CANCELLED" });

/** An instance that shall be registered. */
interface Held {
  readonly instance: Instance;
  holds: readonly Hold[];
  isWanted: boolean;
}

/** A service that was asked for. */
interface Tracked {
  readonly service: string;
  readonly view: ServiceView;
  readonly sources: readonly Source[];
  /** By address, why one isn't seen. */
  readonly reasons: Map<string, RemovalReason>;
  watchers: number;
}

/** One of the names in Nacos under which the service's instances stand. */
interface Source {
  readonly name: string;
  subscription: Subscription | undefined;
  seen: Sighting | undefined;
}
