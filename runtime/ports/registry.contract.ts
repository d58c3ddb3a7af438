import { RpcError } from "../call/status.ts";
import type { RuntimeEvent } from "../telemetry/events.ts";
import type { Clock } from "./clock.ts";
import type { Instance, Registry, ServiceSnapshot } from "./registry.ts";

/** A registry, its clients, and what may happen to it and between them. One world serves one fact. */
export interface RegistryWorld {
  readonly clock: Clock;
  /** A service's name that nobody else uses; so is every name that begins with it. */
  readonly service: string;
  /** Opens a client with a way to the registry of its own; answers at once, connected or not. The world closes it in the end. */
  open(client: string, options?: { readonly isRefused?: boolean }): Promise<RegistryParty>;
  /** The registry's process stops, silent but with open connections (SIGSTOP), and continues. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the registry without ceremony and starts it again at the same address, with what it keeps on its disk. */
  restart(): Promise<void>;
  readonly timing: RegistryTiming;
}

/** A client, and the way between it and the registry. */
export interface RegistryParty {
  readonly registry: Registry;
  /** What it reported. */
  readonly events: readonly RuntimeEvent[];
  /** Nothing passes in either direction, and nobody is told. */
  cut(): void;
  /** Ends `cut` and `refuse`. */
  heal(): void;
  /** Resets every connection once. */
  reset(): void;
  /** Resets every connection, and each new one: as when the client's process was killed. */
  refuse(): void;
}

/** How fast this registry is, in milliseconds of the world's clock. */
export interface RegistryTiming {
  /** A change reaches every connected watcher within this time. */
  readonly pushWithinMs: number;
  /** A call fails within this time when the registry doesn't answer. */
  readonly failWithinMs: number;
  /** A silence that no registry may take for a death. */
  readonly blipMs: number;
  /** A dead client's instances stay at least this long after its last moment … */
  readonly expiryMinMs: number;
  /** … and at most this long, however busy the machine is. */
  readonly expiryMaxMs: number;
  /** Whoever is still to be taken out has been by then, as a rule. */
  readonly settleMs: number;
  /**
   * A registration lives as long as the connection over which it was made: one that breaks may be told as a departure until it is
   * made again, and one that only falls silent is none. Default false: silence counts, connections don't.
   */
  readonly isBoundToConnection?: boolean;
  /** After a restart of the registry, or a cut, everybody is back within this time. */
  readonly recoverWithinMs: number;
}

/** A fact about registries: resolves when it holds, rejects with what doesn't. */
export type RegistryFact = (world: RegistryWorld) => Promise<void>;

/** What happens to the registry happens to everybody who uses it, and so does a flood: such a fact is alone, others may be side by side. */
export const isForAll = (fact: string): boolean => /a registry that pauses|restart|a thousand/.test(fact);

/**
 * What every registry promises, embedded or real: the same facts hold for each, so a fleet doesn't notice which one it uses. A test
 * file runs them all:
 *
 *     for (const [fact, holds] of Object.entries(registryContract)) test(fact, () => inWorld(holds));
 */
export const registryContract: Readonly<Record<string, RegistryFact>> = {
  "a service that nobody offers has no instances, and that is told": async (world) => {
    const { registry } = await world.open("shop/0");
    equal((await registry.lookup(world.service)).instances.length, 0);
    const seen = watching(registry, world.service);
    await soon(world, () => seen.length > 0);
    equal(idsOf(seen[0]), "");
  },

  "what is registered is looked up, and told to who watches before and after": async (world) => {
    const shop = await world.open("shop/0");
    const before = watching(shop.registry, world.service);
    await soon(world, () => before.length > 0);
    const { registry } = await world.open("orders/0");
    await registry.register(instanceOf(world, 0));
    const after = watching(shop.registry, world.service);
    await soon(world, () => idsOf(before.at(-1)) === "0" && idsOf(after.at(-1)) === "0");
    await soon(world, async () => idsOf(await shop.registry.lookup(world.service)) === "0");
    equal(JSON.stringify(before.at(-1)?.instances), JSON.stringify(after.at(-1)?.instances));
  },

  "an instance comes back as it was: address, weight, protocol, labels with any characters": async (world) => {
    const { registry } = await world.open("orders/0");
    const labels = {
      "dubbo.tag": "gray",
      version: "1.0+build/7",
      zone: "杭州 🌍",
      url: "a=b&c=d?e#f%20%25 g;h,i",
      json: '{"quoted":"\\"yes\\"","list":[1,2]}',
      empty: "",
      spaces: " around ",
    };
    const sent = [
      { ...instanceOf(world, 0), metadata: labels },
      { ...instanceOf(world, 1), weight: 0 },
      { ...instanceOf(world, 2), weight: 1 },
      { ...instanceOf(world, 3), weight: 10_000 },
      { ...instanceOf(world, 4), metadata: { protocol: "jsonrpc" } },
    ];
    for (const instance of sent) await registry.register(instance);
    const reader = await world.open("shop/0");
    const seen = watching(reader.registry, world.service);
    await soon(world, () => seen.at(-1)?.instances.length === sent.length);
    for (const instances of [seen.at(-1)!.instances, (await reader.registry.lookup(world.service)).instances]) {
      for (const instance of sent) {
        equal(canonical(instances.find(({ id }) => id === instance.id)), canonical(instance));
      }
    }
  },

  "services don't mix": async (world) => {
    const { registry } = await world.open("orders/0");
    const other = { ...instanceOf(world, 1), service: `${world.service}-other` };
    await registry.register(instanceOf(world, 0));
    await registry.register(other);
    const seen = watching(registry, world.service);
    const seenOther = watching(registry, other.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0" && seenOther.at(-1)?.instances[0]?.id === other.id);
    equal((await registry.lookup(world.service)).instances.length, 1);
    equal((await registry.lookup(other.service)).instances.length, 1);
  },

  "who is registered again is replaced": async (world) => {
    const { registry } = await world.open("orders/0");
    const seen = watching(registry, world.service);
    await registry.register(instanceOf(world, 0));
    await registry.register({ ...instanceOf(world, 0), weight: 7, metadata: { version: "2" } });
    await soon(world, () => seen.at(-1)?.instances[0]?.weight === 7);
    equal(seen.at(-1)?.instances.length, 1);
    equal(seen.at(-1)?.instances[0]?.metadata["version"], "2");
  },

  "deregistering takes out that instance alone, and may be done twice": async (world) => {
    const { registry } = await world.open("orders/0");
    const first = await registry.register(instanceOf(world, 0));
    await registry.register(instanceOf(world, 1));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0,1");
    await first.deregister();
    await first.deregister();
    await soon(world, () => idsOf(seen.at(-1)) === "1");
    await soon(world, async () => idsOf(await shop.registry.lookup(world.service)) === "1");
    // Without a reason, if only "gone", consumers would doubt the departure.
    const removed = seen.flatMap((snapshot) => snapshot.removed);
    equal(removed.map(({ id }) => id).join(), `${world.service}/0`);
    check(["deregistered", "gone"].includes(removed[0]!.reason), `the reason is ${removed[0]!.reason}`);
  },

  "the last one's leaving is told as an empty list": async (world) => {
    const { registry } = await world.open("orders/0");
    const registration = await registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    await registration.deregister();
    await soon(world, () => seen.at(-1)?.instances.length === 0);
  },

  "close takes out at once what was registered through it": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    await orders.registry.register(instanceOf(world, 1));
    const staying = await world.open("orders/2");
    await staying.registry.register(instanceOf(world, 2));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0,1,2");
    await orders.registry.close();
    equal(orders.registry.state, "closed");
    await soon(world, () => idsOf(seen.at(-1)) === "2");
  },

  "versions only grow, and the last snapshot is what a lookup finds": async (world) => {
    const { registry } = await world.open("orders/0");
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    for (let index = 0; index < 20; index++) {
      const registration = await registry.register(instanceOf(world, index));
      if (index % 3 === 0) await registration.deregister();
    }
    const expected = [...Array(20).keys()].filter((index) => index % 3 !== 0).join();
    await soon(world, () => idsOf(seen.at(-1)) === expected);
    equal(idsOf(await shop.registry.lookup(world.service)), expected);
    isGrowing(seen);
  },

  "after a thousand rapid changes every watcher knows the last state": async (world) => {
    const { registry } = await world.open("orders/0");
    const parties = await Promise.all(["shop/0", "shop/1"].map((name) => world.open(name)));
    const seen = parties.map((party) => watching(party.registry, world.service));
    const turns = async (lane: number): Promise<void> => {
      for (let turn = 0; turn < 63; turn++) {
        const registration = await registry.register({ ...instanceOf(world, lane), weight: turn });
        if (turn < 62 || lane % 2 === 1) await registration.deregister();
      }
    };
    // 8 × 63 × 2 - 4: each of them is somebody's last state until the next one.
    await Promise.all([...Array(8).keys()].map(turns));
    // The same four may have been there together before, with other weights.
    const isLast = (snapshot: ServiceSnapshot | undefined): boolean =>
      idsOf(snapshot) === "0,2,4,6" && snapshot!.instances.every(({ weight }) => weight === 62);
    await soon(world, () => seen.every((snapshots) => isLast(snapshots.at(-1))));
    for (const snapshots of seen) isGrowing(snapshots);
  },

  "a watch that is closed hears nothing more": async (world) => {
    const { registry } = await world.open("orders/0");
    const closed: ServiceSnapshot[] = [];
    const subscription = registry.watch(world.service, (snapshot) => closed.push(snapshot));
    const seen = watching(registry, world.service);
    await soon(world, () => closed.length > 0 && seen.length > 0);
    subscription.close();
    subscription.close();
    const heard = closed.length;
    await registry.register(instanceOf(world, 0));
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    equal(closed.length, heard);
  },

  "an error is never an empty list": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    for (const break_ of ["cut", "refuse"] as const) {
      shop[break_]();
      const begin = world.clock.nowUs();
      const error = await failure(shop.registry.lookup(world.service));
      check(["UNAVAILABLE", "DEADLINE_EXCEEDED"].includes(error.code), `the lookup failed with ${error.code}`);
      check(world.clock.nowUs() - begin < world.timing.failWithinMs * 1000, "the lookup failed late");
      check(
        seen.every(({ instances }) => instances.length === 1),
        "an empty list was told",
      );
      shop.heal();
      await soon(world, async () => idsOf(await shop.registry.lookup(world.service).catch(() => undefined)) === "0", {
        withinMs: world.timing.recoverWithinMs,
      });
    }
  },

  "the state is told: connected, suspended, connected again, closed": async (world) => {
    const orders = await world.open("orders/0");
    const { registry, events } = orders;
    await soon(world, () => registry.state === "connected", { withinMs: world.timing.recoverWithinMs });
    orders.cut();
    await soon(world, () => registry.state === "suspended", { withinMs: world.timing.expiryMaxMs });
    check((registry.trouble ?? "") !== "", "nobody says why");
    orders.heal();
    await soon(world, () => registry.state === "connected", { withinMs: world.timing.recoverWithinMs });
    await registry.close();
    equal(registry.state, "closed");
    const states = events.flatMap((event) => (event.type === "registry" ? [event.state] : []));
    equal(states.filter((state) => state !== "expired").join(), "connected,suspended,connected,closed");
  },

  "what is registered while the registry is away is there when it is back": async (world) => {
    const orders = await world.open("orders/0", { isRefused: true });
    let isRegistered = false;
    const registered = orders.registry.register(instanceOf(world, 0)).then((registration) => {
      isRegistered = true;
      return registration;
    });
    await world.clock.sleep(world.timing.blipMs * 1000);
    check(!isRegistered, "it was registered nowhere");
    orders.heal();
    const registration = await within(world, world.timing.recoverWithinMs, registered, "the registration");
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    await registration.deregister();
    await soon(world, () => idsOf(seen.at(-1)) === "");
  },

  "a watch that begins while the registry is away is told when it is back": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0", { isRefused: true });
    const seen = watching(shop.registry, world.service);
    await world.clock.sleep(world.timing.blipMs * 1000);
    equal(seen.length, 0);
    shop.heal();
    await soon(world, () => idsOf(seen.at(-1)) === "0", { withinMs: world.timing.recoverWithinMs });
  },

  "closing while the registry is away ends what waits": async (world) => {
    const { registry } = await world.open("orders/0", { isRefused: true });
    const waiting = failure(registry.register(instanceOf(world, 0)));
    await within(world, world.timing.failWithinMs, registry.close(), "the close");
    equal((await within(world, world.timing.failWithinMs, waiting, "the registration")).code, "CANCELLED");
    await registry.close();
    equal((await failure(registry.register(instanceOf(world, 1)))).code, "CANCELLED");
    check((await failure(registry.lookup(world.service))) instanceof RpcError, "no error");
  },

  "what happened while a watcher was cut off is told when it is back": async (world) => {
    const orders = await world.open("orders/0");
    const first = await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    for (const break_ of ["cut", "refuse"] as const) {
      shop[break_]();
      const index = break_ === "cut" ? 1 : 2;
      await orders.registry.register(instanceOf(world, index));
      if (index === 1) await first.deregister();
      await world.clock.sleep(world.timing.blipMs * 1000);
      shop.heal();
      await soon(world, () => idsOf(seen.at(-1)) === (index === 1 ? "1" : "1,2"), {
        withinMs: world.timing.recoverWithinMs,
      });
    }
    isGrowing(seen);
  },

  "a blip changes no membership: neither broken connections nor a silent path": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const observer = await world.open("observer/0");
    const seen = [shop, observer].map((party) => watching(party.registry, world.service));
    await soon(world, () => seen.every((snapshots) => idsOf(snapshots.at(-1)) === "0"));
    const before = seen.map((snapshots) => snapshots.length);
    for (const party of [orders, shop]) {
      if (party === shop || world.timing.isBoundToConnection !== true) party.reset();
      await world.clock.sleep(world.timing.blipMs * 1000);
      party.cut();
      await world.clock.sleep(world.timing.blipMs * 1000);
      party.heal();
      await world.clock.sleep(world.timing.blipMs * 1000);
    }
    await world.clock.sleep(world.timing.settleMs * 1000);
    check(
      seen.every((snapshots, index) => snapshots.slice(before[index]).every((snapshot) => idsOf(snapshot) === "0")),
      "the membership changed",
    );
    equal(idsOf(await observer.registry.lookup(world.service)), "0");
  },

  "a killed client's instance stays for a while, and not for ever": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    const staying = await world.open("orders/1");
    await staying.registry.register(instanceOf(world, 1));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0,1");
    orders.refuse();
    const { expiryMinMs, expiryMaxMs } = world.timing;
    const tookUs = await soon(world, () => idsOf(seen.at(-1)) === "1", { withinMs: expiryMaxMs });
    check(tookUs >= expiryMinMs * 1000, `it went after ${tookUs / 1000} ms, which is too early`);
    const removed = seen.flatMap((snapshot) => snapshot.removed);
    equal(removed.map(({ id }) => id).join(), `${world.service}/0`);
    check(["expired", "gone"].includes(removed[0]!.reason), `the reason is ${removed[0]!.reason}`);
  },

  "who was cut off until the registry gave it up registers again, once": async (world) => {
    const orders = await world.open("orders/0");
    const registration = await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    orders.cut();
    if (world.timing.isBoundToConnection === true) {
      await world.clock.sleep(2 * world.timing.expiryMaxMs * 1000);
      equal(idsOf(seen.at(-1)), "0");
    } else {
      await soon(world, () => idsOf(seen.at(-1)) === "", { withinMs: world.timing.expiryMaxMs });
    }
    orders.heal();
    await soon(world, () => idsOf(seen.at(-1)) === "0", { withinMs: world.timing.recoverWithinMs });
    await world.clock.sleep(world.timing.settleMs * 1000);
    equal(idsOf(seen.at(-1)), "0");
    equal(idsOf(await shop.registry.lookup(world.service)), "0");
    isGrowing(seen);
    await registration.deregister();
    await soon(world, () => idsOf(seen.at(-1)) === "");
  },

  // A node of a session that is yet to expire isn't one's own (https://github.com/apache/dubbo/issues/5125), and whoever comes back at the
  // same address isn't gone (https://github.com/apache/dubbo-go/issues/3615).
  "who comes back before its dead predecessor is given up stays registered": async (world) => {
    const first = await world.open("orders/0");
    await first.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    first.refuse();
    const second = await world.open("orders/0");
    const { recoverWithinMs } = world.timing;
    const reborn = second.registry.register({ ...instanceOf(world, 0), metadata: { version: "2" } });
    const registration = await within(world, recoverWithinMs, reborn, "the registration");
    await soon(world, () => seen.at(-1)?.instances[0]?.metadata["version"] === "2");
    await world.clock.sleep(world.timing.settleMs * 1000);
    equal(idsOf(seen.at(-1)), "0");
    equal(idsOf(await shop.registry.lookup(world.service)), "0");
    await registration.deregister();
    await soon(world, () => idsOf(seen.at(-1)) === "");
  },

  "a registry that pauses is suspended, loses nobody, and goes on": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    await world.pause();
    await soon(world, () => shop.registry.state === "suspended", { withinMs: world.timing.expiryMaxMs });
    equal(idsOf(seen.at(-1)), "0");
    await world.resume();
    await soon(world, () => shop.registry.state === "connected", { withinMs: world.timing.recoverWithinMs });
    await orders.registry.register(instanceOf(world, 1));
    await soon(world, () => idsOf(seen.at(-1)) === "0,1", { withinMs: world.timing.recoverWithinMs });
  },

  "after a restart of the registry everybody is back, once, and watches go on": async (world) => {
    const orders = await world.open("orders/0");
    await orders.registry.register(instanceOf(world, 0));
    const shop = await world.open("shop/0");
    const seen = watching(shop.registry, world.service);
    await soon(world, () => idsOf(seen.at(-1)) === "0");
    await world.restart();
    const { recoverWithinMs } = world.timing;
    await soon(world, async () => idsOf(await shop.registry.lookup(world.service).catch(() => undefined)) === "0", {
      withinMs: recoverWithinMs,
    });
    await orders.registry.register(instanceOf(world, 1));
    await soon(world, () => idsOf(seen.at(-1)) === "0,1", { withinMs: recoverWithinMs });
    await world.clock.sleep(world.timing.settleMs * 1000);
    equal(idsOf(seen.at(-1)), "0,1");
    isGrowing(seen);
  },
};

function instanceOf(world: RegistryWorld, index: number): Instance {
  const { service } = world;
  return { id: `${service}/${index}`, service, address: `10.1.0.${index}:20880`, weight: 100, metadata: {} };
}

/** Every snapshot that a watch delivers from now on. The world closes the registry, and the watch with it. */
function watching(registry: Registry, service: string): ServiceSnapshot[] {
  const seen: ServiceSnapshot[] = [];
  registry.watch(service, (snapshot) => seen.push(snapshot));
  return seen;
}

/** The indexes of the instances, sorted: "0,2". A registry's order is its own business. */
function idsOf(snapshot: ServiceSnapshot | undefined): string {
  if (snapshot === undefined) return "none";
  const indexes = snapshot.instances.map(({ id }) => Number(id.slice(id.lastIndexOf("/") + 1)));
  return indexes.sort((a, b) => a - b).join();
}

function canonical(instance: Instance | undefined): string {
  if (instance === undefined) return "none";
  const { id, service, address, weight, metadata } = instance;
  const labels = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ id, service, address, weight, labels });
}

function isGrowing(snapshots: readonly ServiceSnapshot[]): void {
  for (let index = 1; index < snapshots.length; index++) {
    const [before, after] = [snapshots[index - 1]!.version, snapshots[index]!.version];
    check(before < after, `version ${after} came after ${before}`);
  }
}

async function failure(work: Promise<unknown>): Promise<RpcError> {
  const value = await work.catch((error: unknown) => {
    if (error instanceof RpcError) return error;
    throw error;
  });
  if (value instanceof RpcError) return value;
  throw new Error("it succeeded");
}

async function within<T>(world: RegistryWorld, ms: number, work: Promise<T>, what: string): Promise<T> {
  let disarm = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    disarm = world.clock.after(ms * 1000, () => reject(new Error(`${what} took longer than ${ms} ms`)));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    disarm();
  }
}

/** Waits until it is so, by default for a push; answers how long that took, in microseconds. */
async function soon(
  world: RegistryWorld,
  isSo: () => boolean | Promise<boolean>,
  { withinMs = world.timing.pushWithinMs }: { readonly withinMs?: number } = {},
): Promise<number> {
  const begin = world.clock.nowUs();
  // Asked once more at the end: a look may have taken long.
  for (;;) {
    const isLate = world.clock.nowUs() - begin > withinMs * 1000;
    if (await isSo()) return world.clock.nowUs() - begin;
    check(!isLate, `it didn't happen within ${withinMs} ms: ${isSo.toString()}`);
    await world.clock.sleep(5_000);
  }
}

function equal(actual: unknown, expected: unknown): void {
  check(actual === expected, `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

function check(isSo: boolean, message: string): void {
  if (!isSo) throw new Error(message);
}
