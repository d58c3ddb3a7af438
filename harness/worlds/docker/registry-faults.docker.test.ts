import { beforeAll, expect, test } from "vitest";

import { Directory } from "../../../runtime/discovery/directory.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import type { Instance } from "../../../runtime/ports/registry.ts";
import type { MembershipChange } from "../../../runtime/telemetry/events.ts";
import { HttpFaults } from "./http-faults.fixture.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import { consul, nacos, zookeeper, type RunningServer, type ServerKind } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

const clock = systemClock();
const sleep = (ms: number): Promise<void> => clock.sleep(ms * 1000);

interface Kind {
  readonly server: ServerKind;
  readonly url: string;
  readonly ports: readonly number[];
  readonly sessionTimeoutMs: number | undefined;
  /** Where requests are HTTP, so that each can be answered by itself; elsewhere bytes are late, and connections break. */
  readonly httpPort?: number;
  /** A change is seen within this time, on a busy machine, while all is well. */
  readonly pushWithinMs: number;
  /** How long replies may be held before the server, or the client, gives the other up. */
  readonly holdMs: number;
  /** Whoever loses the connection may be away until it is made again. */
  readonly isBoundToConnection?: true;
}

const kinds: Readonly<Record<string, Kind>> = {
  ZooKeeper: {
    server: zookeeper,
    url: "zookeeper://127.0.0.1:2181/faults",
    ports: [2181],
    sessionTimeoutMs: 6_000,
    pushWithinMs: 5_000,
    holdMs: 2_500,
  },
  "Nacos over HTTP": {
    server: nacos,
    url: "nacos://127.0.0.1:8848?namespace=faults&pollMs=300",
    ports: [8848, 9848],
    sessionTimeoutMs: 6_000,
    httpPort: 8848,
    pushWithinMs: 10_000,
    holdMs: 2_500,
  },
  "Nacos over gRPC": {
    server: nacos,
    url: "nacos://127.0.0.1:8848?namespace=faults-grpc&protocol=grpc&pollMs=300",
    ports: [8848, 9848],
    sessionTimeoutMs: undefined,
    pushWithinMs: 10_000,
    holdMs: 1_500,
    isBoundToConnection: true,
  },
  Consul: {
    server: consul,
    url: "consul://127.0.0.1:8500?prefix=faults-",
    ports: [8500],
    sessionTimeoutMs: 6_000,
    httpPort: 8500,
    pushWithinMs: 5_000,
    holdMs: 2_500,
  },
};

const instance = (service: string, index: number): Instance => ({
  ...{ id: `${service}/${index}`, service, address: `10.2.0.${index}:20880`, weight: 100, metadata: {} },
});

const started = new Map<ServerKind, Promise<RunningServer>>();

for (const [name, kind] of Object.entries(kinds)) {
  describeReal(`${name}, made to misbehave from outside`, () => {
    let server: RunningServer;
    beforeAll(async () => {
      const starting = started.get(kind.server) ?? startTestServer(kind.server);
      started.set(kind.server, starting);
      server = await starting;
    }, 120_000);

    /** A fleet whose consumer, or all of it, reaches the server past the faults. */
    const inScene = async (holds: (scene: Awaited<ReturnType<typeof sceneOf>>) => Promise<void>): Promise<void> => {
      const scene = await sceneOf(kind, server, `orders-${name.toLowerCase().replaceAll(" ", "-")}`);
      try {
        await holds(scene);
      } finally {
        await scene.close();
      }
    };

    test(
      "a brown-out: late answers, and errors for a part: nobody is taken for dead, and a change is told all the same",
      () =>
        inScene(async ({ brownOut, heal, open, consumer, failures }) => {
          const providers = await Promise.all([0, 1].map((index) => open(index)));
          const shop = await consumer();
          await until(() => shop.ids() === "0,1", kind.pushWithinMs);
          const before = shop.changes.length;
          const end = brownOut();
          // Longer than a session: whoever lives on heartbeats must get them through.
          await sleep(1.5 * (kind.sessionTimeoutMs ?? 4_000));
          const lists = shop.changes.slice(before).map(({ instances }) => instances.length);
          if (kind.isBoundToConnection) expect(lists.every((length) => length > 0)).toBe(true);
          else expect(lists).toEqual([]);
          const registered = retried(() => open(2));
          await until(() => shop.ids() === "0,1,2", 3 * kind.pushWithinMs);
          await registered;
          expect(failures(), "it was a brown-out at all").toBeGreaterThan(2);
          end();
          heal();
          await providers[1]!.registration.deregister();
          await until(() => shop.ids() === "0,2", kind.pushWithinMs);
        }),
      120_000,
    );

    test(
      "a stale list: what was there is told again, is believed, and is right again as soon as it can be",
      () =>
        inScene(async ({ stale, heal, open, consumer }) => {
          const providers = await Promise.all([0, 1].map((index) => open(index)));
          const [behind, other] = [await consumer("faulty"), await consumer("direct")];
          await until(() => behind.ids() === "0,1" && other.ids() === "0,1", kind.pushWithinMs);
          // What is asked for in order to be told again has been asked for once more by now.
          await sleep(1_000);
          stale(behind);
          const beganMs = performance.now();
          await providers[0]!.registration.deregister();
          await until(() => other.ids() === "1", kind.pushWithinMs);
          await sleep(Math.max(300, kind.holdMs - (performance.now() - beganMs)));
          expect(behind.ids(), "one that has fallen behind").toBe("0,1");
          heal(behind);
          await until(() => behind.ids() === "1", kind.pushWithinMs);
          await sleep(1_000);
          expect(behind.ids()).toBe("1");
        }),
      120_000,
    );
  });
}

/** Clients that reach the server through what misbehaves, and others that don't. */
async function sceneOf(kind: Kind, server: RunningServer, service: string) {
  const { url, ports, sessionTimeoutMs, httpPort } = kind;
  const http = httpPort === undefined ? undefined : await HttpFaults.open(() => server.addressOf(httpPort));
  const through: RunningServer = {
    container: server.container,
    addressOf: (port) => (port === httpPort ? http!.address : server.addressOf(port)),
    locate: () => server.locate(),
    restart: () => server.restart(),
  };
  const clientsOf = (of: RunningServer): TestClients =>
    new TestClients({ server: () => of, url, ports, sessionTimeoutMs });
  const [faulty, direct] = [clientsOf(through), clientsOf(server)];
  type Party = Awaited<ReturnType<TestClients["openRegistry"]>>;
  const parties: Party[] = [];
  const directories: Directory[] = [];
  let resets = 0;

  const open = async (index: number) => {
    const party = await faulty.openRegistry(`${service}/${index}`);
    parties.push(party);
    return { ...party, registration: await party.registry.register(instance(service, index)) };
  };
  const consumer = async (way: "faulty" | "direct" = "faulty") => {
    const party = await (way === "faulty" ? faulty : direct).openRegistry("shop/0");
    parties.push(party);
    const changes: MembershipChange[] = [];
    const directory = new Directory({
      ...{ clock, registry: party.registry, service, options: {} },
      telemetry: { emit: (event) => void (event.type === "membership" && changes.push(event)) },
      onChange: () => undefined,
    });
    directories.push(directory);
    const ids = (): string =>
      directory.endpoints
        .map(({ id }) => id.slice(id.indexOf("/") + 1))
        .toSorted()
        .join();
    return { ...party, changes, ids };
  };
  /** Answers what ends the errors; the answers stay late until all is healed. */
  const brownOut = (): (() => void) => {
    if (http !== undefined) {
      http.delayMs = 200;
      http.failsEach = 3;
      return () => (http.failsEach = 0);
    }
    for (const { paths } of parties) for (const path of paths) path.slow(100);
    let turn = 0;
    const timer = setInterval(() => {
      resets++;
      parties[turn++ % parties.length]!.reset();
    }, 1_300);
    return () => clearInterval(timer);
  };
  return {
    ...{ open, consumer, brownOut },
    failures: () => http?.failed ?? resets,
    stale: (party: Party) => {
      if (http !== undefined) http.beStale();
      else party.paths.forEach((path) => path.cut("replies"));
    },
    heal: (party?: Party) => {
      http?.heal();
      for (const { paths } of party === undefined ? parties : [party]) for (const path of paths) path.heal();
    },
    close: async () => {
      http?.heal();
      for (const directory of directories) directory.close();
      await faulty.close();
      await direct.close();
      http?.close();
    },
  };
}

/** As a provider would. */
async function retried<T>(act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (attempt === 10) throw error;
      await sleep(300);
    }
  }
}

async function until(isSo: () => boolean, withinMs: number): Promise<void> {
  const beginUs = clock.nowUs();
  for (;;) {
    const isLate = clock.nowUs() - beginUs > withinMs * 1000;
    if (isSo()) return;
    if (isLate) throw new Error(`it didn't happen within ${withinMs} ms: ${isSo.toString()}`);
    await clock.sleep(5_000);
  }
}
