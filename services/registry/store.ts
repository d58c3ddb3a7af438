import type { Random } from "../../runtime/ports/random.ts";
import type { Clock } from "../../runtime/ports/clock.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Instance } from "../../runtime/discovery/proto/registry_pb.ts";
import { Bell } from "../bell.ts";
import { Catalog, type Reason } from "./catalog.ts";
import { checkInstance, checkName, exhausted, limits } from "./limits.ts";

export interface RegistryStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Grows with each start of the registry: it begins every version, so that versions grow across restarts. */
  readonly epoch: number;
  /** A service has changed so often that its versions begin with this epoch now. */
  readonly onEpoch: (epoch: number) => void;
  /** Pause between two looks for expired sessions. */
  readonly tickMs: number;
  /** Changes within so many milliseconds reach watchers as one. */
  readonly mergeMs: number;
}

/** Changes of a service for which one epoch's numbers last: 2^20. Versions are uint32 on the wire: 4,096 epochs. */
export const versionsPerEpoch = 0x100000;

/** The owner of what no session holds. */
const nobody = "";

/** The registry's memory: sessions, what they registered, and who watches. It is lost with the process. */
export class RegistryStore {
  readonly #options: RegistryStoreOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #shelves = new Map<string, Shelf>();
  readonly #random: Random;
  /** Ids of instances that are listed although they have gone. */
  readonly #undead = new Set<string>();
  #epoch: number;
  #opened = 0;
  #instances = 0;
  #watches = 0;
  #tickedUs: number;
  #disarmTick: () => void;

  constructor(options: RegistryStoreOptions) {
    this.#options = options;
    this.#epoch = options.epoch;
    this.#random = options.random.fork("sessions");
    this.#tickedUs = options.clock.nowUs();
    this.#disarmTick = options.clock.after(options.tickMs * 1000, () => this.#tick());
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  open(timeoutMs: number, client: string): Session {
    if (this.#sessions.size >= limits.sessions) throw exhausted(`the registry has ${limits.sessions} sessions already`);
    const wanted = timeoutMs === 0 ? 6000 : timeoutMs;
    const session: Session = {
      // The number makes it unique, the chance keeps it from being guessed.
      id: `${this.#options.epoch}-${++this.#opened}-${this.#random.uint32().toString(16)}`,
      client,
      timeoutUs: Math.min(Math.max(wanted, limits.timeoutMsMin), limits.timeoutMsMax) * 1000,
      heardUs: this.#options.clock.nowUs(),
      owned: new Set(),
      watches: new Set(),
    };
    this.#sessions.set(session.id, session);
    return session;
  }

  keepAlive(sessionId: string): void {
    this.#session(sessionId).heardUs = this.#options.clock.nowUs();
  }

  close(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session !== undefined) this.#end(session, "closed");
  }

  /** Answers the service's version that holds the instance. */
  register(sessionId: string, instance: Instance | undefined): number {
    const session = this.#session(sessionId);
    checkInstance(instance);
    const shelf = this.#shelf(instance.service);
    const { catalog } = shelf;
    const before = catalog.instances.get(instance.id);
    const isMine = before?.owner === sessionId;
    if (!isMine && session.owned.size >= limits.instancesOfSession) {
      throw exhausted(`a session has at most ${limits.instancesOfSession} instances`);
    }
    if (before === undefined && this.#instances >= limits.instances) {
      throw exhausted(`the registry has ${limits.instances} instances already`);
    }
    if (before === undefined) this.#instances++;
    else if (!isMine) this.#sessions.get(before.owner)?.owned.delete(ownedKey(instance));
    session.owned.add(ownedKey(instance));
    const { version } = catalog;
    catalog.put(instance, sessionId);
    if (catalog.version !== version) this.#announce(shelf);
    return catalog.version;
  }

  /** Answers the service's version without the instance. What another session holds stays. */
  deregister(sessionId: string, service: string, id: string): number {
    const session = this.#session(sessionId);
    checkName("service", service);
    checkName("id", id);
    const shelf = this.#shelves.get(service);
    if (shelf === undefined) return this.#firstVersion();
    this.#take(session, shelf, id, "deregistered");
    return shelf.catalog.version;
  }

  catalog(service: string): Catalog {
    checkName("service", service);
    return this.#shelves.get(service)?.catalog ?? new Catalog(service, this.#firstVersion());
  }

  watch(sessionId: string, service: string): Watch {
    const session = this.#session(sessionId);
    checkName("service", service);
    if (this.#watches >= limits.watches) throw exhausted(`the registry has ${limits.watches} watches already`);
    if (session.watches.size >= limits.watchesOfSession) {
      throw exhausted(`a session has at most ${limits.watchesOfSession} watches`);
    }
    const shelf = this.#shelf(service);
    const bell = new Bell();
    const watch: Watch = {
      catalog: shelf.catalog,
      client: session.client,
      bell,
      periodUs: session.timeoutUs / 3,
      spokeUs: this.#options.clock.nowUs(),
      close: (error) => {
        if (!session.watches.delete(watch)) return;
        shelf.watches.delete(watch);
        this.#watches--;
        bell.close(error);
        // Nobody can fill the memory by watching names that don't exist.
        const isUnknown = shelf.catalog.version === this.#firstVersion() && shelf.watches.size === 0;
        if (isUnknown) this.#shelves.delete(service);
      },
    };
    session.watches.add(watch);
    shelf.watches.add(watch);
    this.#watches++;
    return watch;
  }

  /** Ends the sessions of a client, as if it had been silent. */
  expire(client: string): void {
    for (const session of [...this.#sessions.values()]) if (session.client === client) this.#end(session, "expired");
  }

  /** Every watcher of the service looks again. */
  ring(service: string): void {
    for (const watch of this.#shelves.get(service)?.watches ?? []) watch.bell.ring();
  }

  /** Tells every watcher of the service once more, as a new version. */
  touch(service: string): void {
    const shelf = this.#shelves.get(service);
    if (shelf === undefined) return;
    shelf.catalog.touch();
    this.#announce(shelf);
  }

  /** Lists an instance again that has gone, or will go on listing it when it goes: nobody's session holds it. */
  resurrect(id: string): void {
    this.#undead.add(id);
    for (const shelf of this.#shelves.values()) {
      if (!shelf.catalog.instances.has(id)) this.#raise(shelf, id);
    }
  }

  /** It goes; one that a session holds stays. */
  bury(id: string): void {
    this.#undead.delete(id);
    for (const shelf of this.#shelves.values()) {
      if (!shelf.catalog.remove(id, nobody, "expired")) continue;
      this.#instances--;
      this.#announce(shelf);
    }
  }

  #raise(shelf: Shelf, id: string): void {
    const instance = shelf.catalog.departed(id);
    if (instance === undefined) return;
    shelf.catalog.put(instance, nobody);
    this.#instances++;
    this.#announce(shelf);
  }

  /** Ends everything; no timer is left. */
  stop(): void {
    this.#disarmTick();
    for (const shelf of this.#shelves.values()) {
      shelf.disarm?.();
      for (const watch of [...shelf.watches]) {
        watch.close(new RpcError("the registry is going away", { code: "UNAVAILABLE" }));
      }
    }
  }

  /** Expires sessions and wakes watches that have been silent for long: actual expiry lies in (T, T + tick]. */
  #tick(): void {
    const { clock, tickMs } = this.#options;
    const nowUs = clock.nowUs();
    // While this process was stopped it heard nobody: that is its own fault, not that of the sessions.
    const lateUs = nowUs - this.#tickedUs - tickMs * 1000;
    const asleepUs = lateUs > tickMs * 1000 ? lateUs : 0;
    this.#tickedUs = nowUs;
    for (const session of this.#sessions.values()) {
      session.heardUs += asleepUs;
      if (nowUs - session.heardUs > session.timeoutUs) {
        this.#end(session, "expired");
        continue;
      }
      for (const watch of session.watches) {
        // Half a tick early rather than late: the promise is a third of the timeout.
        if (nowUs - watch.spokeUs + tickMs * 1000 > watch.periodUs) watch.bell.ring();
      }
    }
    this.#disarmTick = clock.after(tickMs * 1000, () => this.#tick());
  }

  #end(session: Session, reason: Reason): void {
    this.#sessions.delete(session.id);
    for (const key of session.owned) {
      const [service, id] = key.split("\n") as [string, string];
      const shelf = this.#shelves.get(service);
      if (shelf !== undefined) this.#take(session, shelf, id, reason);
    }
    const gone = new RpcError(`session ${session.id} of ${session.client} has ${reason}`, { code: "NOT_FOUND" });
    for (const watch of [...session.watches]) watch.close(gone);
  }

  #take(session: Session, shelf: Shelf, id: string, reason: Reason): void {
    if (!shelf.catalog.remove(id, session.id, reason)) return;
    session.owned.delete(ownedKey({ service: shelf.catalog.service, id }));
    this.#instances--;
    if (this.#undead.has(id)) this.#raise(shelf, id);
    this.#announce(shelf);
  }

  /** A thousand registrations in a moment are one push to each watcher. */
  #announce(shelf: Shelf): void {
    const epoch = Math.floor(shelf.catalog.version / versionsPerEpoch);
    if (epoch > this.#epoch) this.#options.onEpoch((this.#epoch = epoch));
    shelf.disarm ??= this.#options.clock.after(this.#options.mergeMs * 1000, () => {
      shelf.disarm = undefined;
      for (const watch of shelf.watches) watch.bell.ring();
    });
  }

  #session(id: string): Session {
    const session = this.#sessions.get(id);
    if (session === undefined) {
      throw new RpcError("there is no such session", {
        code: "NOT_FOUND",
        hint: "it has expired, or the registry was restarted: open a new one and register again",
      });
    }
    return session;
  }

  #shelf(service: string): Shelf {
    let shelf = this.#shelves.get(service);
    if (shelf === undefined) {
      if (this.#shelves.size >= limits.services)
        throw exhausted(`the registry has ${limits.services} services already`);
      shelf = { catalog: new Catalog(service, this.#firstVersion()), watches: new Set(), disarm: undefined };
      this.#shelves.set(service, shelf);
    }
    return shelf;
  }

  #firstVersion(): number {
    return this.#options.epoch * versionsPerEpoch;
  }
}

export interface Session {
  readonly id: string;
  readonly client: string;
  readonly timeoutUs: number;
  /** The last sign of life. */
  heardUs: number;
  /** Of `ownedKey`s. */
  readonly owned: Set<string>;
  readonly watches: Set<Watch>;
}

/** One watcher of one service. */
export interface Watch {
  readonly catalog: Catalog;
  /** Who watches: "storefront/0". */
  readonly client: string;
  /** Rings when there is something new, or when it is time for a heartbeat. */
  readonly bell: Bell;
  readonly periodUs: number;
  /** When the watcher was last told anything. */
  spokeUs: number;
  close(error?: RpcError): void;
}

interface Shelf {
  readonly catalog: Catalog;
  readonly watches: Set<Watch>;
  disarm: (() => void) | undefined;
}

/** Names have no control characters, so a line break separates them. */
const ownedKey = ({ service, id }: { readonly service: string; readonly id: string }): string => `${service}\n${id}`;
