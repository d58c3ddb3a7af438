import type { Filter } from "../../runtime/call/filter.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { ServiceSnapshot } from "../../runtime/discovery/proto/registry_pb.ts";
import type { Random } from "../../runtime/ports/random.ts";
import type { Disturbance, Settle } from "../disturbance.ts";
import type { RegistryStore } from "./store.ts";

/** How one client is told of one service, where that isn't as it should be. */
export interface Delivery {
  /** Changes aren't passed on; heartbeats are. */
  readonly isHeld?: boolean;
  readonly delayUs?: number;
  /** How often each change is told. Default once. */
  readonly times?: number;
  /** What is told in the place of what is there. */
  readonly frozen?: ServiceSnapshot;
  /** What becomes of a list that is pushed, and of one that is read. */
  readonly push?: (snapshot: ServiceSnapshot) => ServiceSnapshot;
  readonly read?: (snapshot: ServiceSnapshot) => ServiceSnapshot;
}

interface BrownOut {
  readonly delayMs: number;
  readonly errorRate: number;
}

/** What is wrong with a registry at the moment. Each fault can be settled by itself. */
export class RegistryDisturbances {
  readonly #store: RegistryStore;
  readonly #random: Random;
  readonly #deliveries = new Set<(client: string, service: string) => Delivery | undefined>();
  readonly #brownOuts = new Set<BrownOut>();

  constructor({ store, random }: { readonly store: RegistryStore; readonly random: Random }) {
    this.#store = store;
    this.#random = random.fork("brown-out");
  }

  /** Takes hold at once. Undefined: no registry can be disturbed like this. */
  begin(disturbance: Disturbance): Settle | undefined {
    const store = this.#store;
    switch (disturbance.kind) {
      case "session-expiry":
        for (const client of disturbance.clients) store.expire(client);
        return () => undefined;
      case "missed-watch":
        return this.#deliver(disturbance, () => ({ isHeld: true }));
      case "delayed-watch":
        return this.#deliver(disturbance, () => ({ delayUs: disturbance.byMs * 1000 }));
      case "duplicated-watch":
        return this.#deliver(disturbance, () => ({ times: 2 }));
      case "stale-snapshot": {
        const catalog = store.catalog(disturbance.service);
        const frozen = catalog.snapshot(catalog.version);
        return this.#deliver(disturbance, () => ({ frozen }));
      }
      case "cut-push": {
        const { keep } = disturbance;
        const push = (snapshot: ServiceSnapshot): ServiceSnapshot =>
          listing(snapshot, (index, of) => index < Math.floor(keep * of));
        return this.#view(disturbance, () => ({ push }));
      }
      case "diverging-views": {
        const { clients } = disturbance;
        return this.#view(disturbance, (client) => {
          const own = clients.indexOf(client);
          const part = (snapshot: ServiceSnapshot): ServiceSnapshot =>
            listing(snapshot, (index) => index % clients.length === own);
          return { push: part, read: part };
        });
      }
      case "resurrected-ephemeral": {
        for (const id of disturbance.ids) store.resurrect(id);
        return () => {
          for (const id of disturbance.ids) store.bury(id);
        };
      }
      case "brown-out": {
        const own = { delayMs: disturbance.delayMs, errorRate: disturbance.errorRate };
        this.#brownOuts.add(own);
        return () => void this.#brownOuts.delete(own);
      }
      case "own-session-expiry":
      case "late-document":
      case "zombie":
      case "flapping-registration":
      case "half-dead":
      case "blocks":
        return undefined;
    }
  }

  delivery(client: string, service: string): Delivery | undefined {
    let all: Delivery | undefined;
    for (const deliver of this.#deliveries) {
      const one = deliver(client, service);
      if (one !== undefined) all = { ...all, ...one };
    }
    return all;
  }

  /** Makes calls late, and some of them fail, while the registry is browned out. */
  readonly filter: Filter = (call, request, next) =>
    this.#brownOuts.size === 0 ? next(call, request) : this.#strained(call, request, next);

  async #strained(...[call, request, next]: Parameters<Filter>): ReturnType<Filter> {
    for (const { delayMs, errorRate } of this.#brownOuts) {
      const fails = this.#random.float() < errorRate;
      await call.clock.sleep(delayMs * 1000, call.signal);
      if (fails) throw new RpcError("the registry is overloaded", { code: "UNAVAILABLE" });
    }
    return next(call, request);
  }

  /** From now on; once it is settled, watchers are told what they weren't. */
  #deliver(
    { clients, service }: { readonly clients: readonly string[]; readonly service: string },
    how: (client: string) => Delivery,
  ): Settle {
    const own = (client: string, of: string): Delivery | undefined =>
      of === service && clients.includes(client) ? how(client) : undefined;
    this.#deliveries.add(own);
    return () => {
      this.#deliveries.delete(own);
      this.#store.ring(service);
    };
  }

  /** The same for what is told of a service that hasn't changed: it is told anew, now and when it is settled. */
  #view(
    what: { readonly clients: readonly string[]; readonly service: string },
    how: (client: string) => Delivery,
  ): Settle {
    const settle = this.#deliver(what, how);
    this.#store.touch(what.service);
    return () => {
      void settle();
      this.#store.touch(what.service);
    };
  }
}

/** The snapshot with some of its instances, which are counted in the order of their ids. */
function listing(snapshot: ServiceSnapshot, isListed: (index: number, of: number) => boolean): ServiceSnapshot {
  const instances = snapshot.instances.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return { ...snapshot, instances: instances.filter((_, index) => isListed(index, instances.length)) };
}
