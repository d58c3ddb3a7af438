import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { builtInPolicies } from "../../../runtime/call/client.ts";
import { Directory, type DirectoryOptions } from "../../../runtime/discovery/directory.ts";
import { escape } from "../../../runtime/discovery/dubbo.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { directoryDisk } from "../../../runtime/node/disk.ts";
import { realInfrastructure } from "../../../runtime/node/infrastructure.ts";
import { TestPath } from "../../../runtime/node/testing/path.ts";
import { tripleTransport } from "../../../runtime/node/triple.ts";
import { ZooKeeperClient } from "../../../runtime/node/zookeeper/client.ts";
import { Connection } from "../../../runtime/node/zookeeper/connection.ts";
import { JuteReader } from "../../../runtime/node/zookeeper/jute.ts";
import { opcode, readConnectResponse, type Stat } from "../../../runtime/node/zookeeper/protocol.ts";
import type { ConfigDocument } from "../../../runtime/ports/config-center.ts";
import type { Instance, ServiceSnapshot } from "../../../runtime/ports/registry.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import type { CallEnd, MembershipChange, RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { programs } from "../../../services/programs.ts";
import type { NodeContext } from "../../../services/service.ts";
import { anyRandom, interfaceName, TestClients, type ClientOptions } from "./infrastructure.fixture.ts";
import { zookeeper, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";
import { expiryMaxMs, sessionTimeoutMs, tickMs } from "./zookeeper-times.ts";

const clock = systemClock();
const second = 1_000_000;
/** Whoever is still to be taken out has been by then. */
const settleMs = 2 * (sessionTimeoutMs + tickMs);
const recoverWithinMs = 10_000;

let server: RunningServer;
let clients: TestClients;
let chroot = "";
let chroots = 0;

const target = (): string => server.addressOf(2181);
const open = async (client: string, { level = "all", parameters = "", ...options }: PartyOptions = {}) => {
  const party = await clients.openRegistry(client, { ...options, parameters: `?level=${level}${parameters}` });
  return { ...party, path: party.paths[0]! };
};
type Party = Awaited<ReturnType<typeof open>>;
interface PartyOptions extends ClientOptions {
  readonly level?: string;
}

describeReal("ZooKeeper, whatever happens to it", () => {
  beforeAll(async () => {
    server = await startTestServer(zookeeper);
  }, 120_000);
  beforeEach(() => {
    chroot = `/invariant-${chroots++}`;
    const url = `zookeeper://127.0.0.1:2181${chroot}`;
    clients = new TestClients({ server: () => server, url, ports: [2181], sessionTimeoutMs });
  });
  afterEach(async () => {
    await server.container.resume();
    await clients.close();
  }, 60_000);

  test("1: registration converges: everybody sees everybody soon, and a killed one neither too long nor too short", async () => {
    const providers = await Promise.all([0, 1, 2, 3, 4].map((index) => open(`orders/${index}`)));
    const consumers = await Promise.all([0, 1, 2].map((index) => open(`shop/${index}`)));
    const directories = consumers.map((party) => directoryOf(party));
    await Promise.all(providers.map(({ registry }, index) => registry.register(instance(index))));
    await until(() => directories.every(({ ids }) => ids() === "0,1,2,3,4"));
    const killedUs = clock.nowUs();
    providers[3]!.refuse();
    await until(() => directories.some(({ ids }) => ids() === "0,1,2,4"), expiryMaxMs);
    expect(clock.nowUs() - killedUs).toBeGreaterThan((sessionTimeoutMs / 2) * 1000);
    await until(() => directories.every(({ ids }) => ids() === "0,1,2,4"), expiryMaxMs);
  });

  test("2: a blip shorter than the session's timeout changes no membership and fails no call", async () => {
    const providers = await Promise.all(
      [0, 1].map((index) => startNode("provider", `orders/${index}`, providerConfig)),
    );
    const shop = await startNode("consumer", "shop/0", consumerConfig());
    const before = shop.membership().length;
    const driven = shop.drive(50, 3);
    for (const { path } of [...providers, shop]) {
      path.reset();
      await clock.sleep(second / 2);
      path.cut();
      await clock.sleep((sessionTimeoutMs / 5) * 1000);
      path.heal();
      await clock.sleep(second / 10);
    }
    await driven;
    expect(shop.membership().length).toBe(before);
    expect(shop.codes()).toEqual({ OK: 150 });
  }, 60_000);

  for (const level of ["all", "interface", "application"]) {
    test(`3: after an expiry there is exactly one node a provider, owned by the new session (level=${level})`, async () => {
      const orders = await open("orders/0", { level });
      const shop = await open("shop/0", { level });
      const { ids } = directoryOf(shop);
      await orders.registry.register(instance(0));
      await until(() => ids() === "0");
      const first = sessionOf(orders);
      await closeSession(orders);
      await until(() => orders.events.some((event) => event.type === "registry" && event.state === "expired"));
      const tree = await rawClient();
      await until(async () => {
        const owners = await ownersOfNodes(tree);
        return owners.length === (level === "all" ? 2 : 1) && owners.every((owner) => owner !== first.id);
      });
      expect(new Set(await ownersOfNodes(tree))).toEqual(new Set([sessionOf(orders).id]));
      // Not for the moment only.
      await clock.sleep(settleMs * 1000);
      expect(new Set(await ownersOfNodes(tree))).toEqual(new Set([sessionOf(orders).id]));
      expect(ids()).toBe("0");
    }, 60_000);
  }

  test("3: whoever paused for longer than its session is back once, and nobody is lost for good", async () => {
    const providers = await Promise.all([0, 1, 2].map((index) => open(`orders/${index}`)));
    await Promise.all(providers.map(({ registry }, index) => registry.register(instance(index))));
    const shop = await open("shop/0");
    const { ids } = directoryOf(shop);
    await until(() => ids() === "0,1,2");
    await server.container.pause();
    await clock.sleep(3 * sessionTimeoutMs * 1000);
    expect(ids()).toBe("0,1,2");
    expect(shop.registry.state).toBe("suspended");
    await server.container.resume();
    await until(() => [shop, ...providers].every(({ registry }) => registry.state === "connected"), recoverWithinMs);
    await clock.sleep(settleMs * 1000);
    expect(ids()).toBe("0,1,2");
    // A connection that a busy machine kept silent is lost, and so is what was asked over it.
    const look = () => shop.registry.lookup("orders").catch(() => undefined);
    await until(async () => (await look())?.instances.map(({ id }) => id).join() === "orders/0,orders/1,orders/2");
    const tree = await rawClient();
    expect((await ownersOfNodes(tree)).length).toBe(6);
  }, 60_000);

  test("4: while the registry is down calls succeed, a cold start has its disk, and who registers is there afterwards", async () => {
    const disk = mkdtempSync(join(tmpdir(), "flyball-test-"));
    clients.add(() => rmSync(disk, { recursive: true, force: true }));
    await startNode("provider", "orders/0", providerConfig);
    await startNode("provider", "orders/1", providerConfig);
    const shop = await startNode("consumer", "shop/0", consumerConfig());
    const earlier = await startNode("consumer", "shop/1", consumerConfig(), disk);
    // The list is written a moment after it is known.
    await clock.sleep(1.5 * second);
    await earlier.stop();
    await server.container.kill();
    const driven = shop.drive(50, 4);
    const later = await startNode("consumer", "shop/1", consumerConfig(), disk);
    await later.drive(50, 1);
    expect(later.codes()).toEqual({ OK: 50 });
    expect(later.membership()[0]?.source).toBe("cache");
    const registering = startNode("provider", "orders/2", providerConfig);
    await driven;
    expect(shop.codes()).toEqual({ OK: 200 });
    await server.restart();
    await registering;
    await until(() => shop.membership().at(-1)?.instances.join() === "orders/0,orders/1,orders/2", recoverWithinMs);
    await until(() => later.membership().at(-1)?.instances.length === 3, recoverWithinMs);
  }, 90_000);

  // Subscribing anew must not wipe the list: https://github.com/apache/dubbo/issues/7125.
  test("5: when the registry lost everything consumers keep whom they can call, and all are registered again", async () => {
    await startNode("provider", "orders/0", providerConfig);
    const shop = await startNode("consumer", "shop/0", consumerConfig());
    // The old server has seen much more than the new one will for a long time.
    const old = await rawClient();
    await Promise.all(Array.from({ length: 500 }, () => old.setData("/", Buffer.alloc(0))));
    const second_ = await startNode("provider", "orders/1", providerConfig);
    await until(() => shop.membership().at(-1)?.instances.length === 2);
    const driven = shop.drive(50, 6);
    const empty = await startTestServer(zookeeper);
    const forgetful = server;
    server = empty;
    await forgetful.container.remove();
    await until(async () => (await ownersOfNodes(await rawClient())).length === 4, 20_000);
    await driven;
    expect(shop.codes()).toEqual({ OK: 300 });
    expect(shop.membership().every(({ instances }) => instances.length > 0)).toBe(true);
    // The watch goes on, with versions that grow: changes in the new tree arrive.
    await startNode("provider", "orders/2", providerConfig);
    await until(() => shop.membership().at(-1)?.instances.length === 3, recoverWithinMs);
    await second_.stop();
    await until(() => shop.membership().at(-1)?.instances.join() === "orders/0,orders/2", recoverWithinMs);
    const versions = shop.membership().map(({ version }) => version);
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
  }, 90_000);

  test("5: a fleet that lost its sessions at once doesn't come back in one moment", async () => {
    // Long enough that a machine which stands still for a second can't bring them all together.
    const timeoutMs = 36_000;
    const fleet = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        open(`orders/${index}`, { sessionTimeoutMs: timeoutMs, level: "application" }),
      ),
    );
    await Promise.all(fleet.map(({ registry }, index) => registry.register(instance(index))));
    const tree = await rawClient();
    const before = new Set(await ownersOfNodes(tree));
    expect(before.size).toBe(40);
    await Promise.all(fleet.map((party) => closeSession(party)));
    // The server says when each came back: a watcher may see it leave and come back in one list.
    const births: number[] = [];
    await until(async () => {
      await clock.sleep(0.1 * second);
      const again = (await stats(tree)).filter(({ ephemeralOwner }) => !before.has(ephemeralOwner));
      births.splice(0, births.length, ...again.map(({ ctimeMs }) => ctimeMs).toSorted((a, b) => a - b));
      return births.length === 40;
    }, 3 * recoverWithinMs);
    // A twelfth of the timeout is what they are spread over: three seconds, and the reconnecting besides.
    const spreadMs = timeoutMs / 12;
    const busiest = Math.max(
      ...births.map((at) => births.filter((other) => other >= at && other < at + spreadMs / 5).length),
    );
    expect(busiest).toBeLessThan(28);
    expect(births.at(-1)! - births[0]!).toBeGreaterThan(spreadMs / 2);
  }, 60_000);

  test("6: an instance that flaps is told once in a merge window, its last state in any case, and nobody else is touched", async () => {
    const [flapping, stable, shop] = [await open("orders/0"), await open("orders/1"), await open("shop/0")];
    await stable.registry.register(instance(1));
    const mergeMs = 400;
    const { ids, directory, changes } = directoryOf(shop, { mergeMs });
    await until(() => ids() === "1");
    const untouched = directory.endpoints[0]!;
    untouched.stats.succeeded = 17;
    const [beginUs, told] = [clock.nowUs(), changes.length];
    let registration = await flapping.registry.register(instance(0));
    for (let turn = 0; turn < 20; turn++) {
      await clock.sleep(50_000);
      await registration.deregister();
      await clock.sleep(50_000);
      registration = await flapping.registry.register(instance(0));
    }
    await until(() => ids() === "0,1");
    const windows = Math.ceil((clock.nowUs() - beginUs) / 1000 / mergeMs);
    expect(changes.length - told).toBeLessThanOrEqual(windows + 1);
    expect(directory.endpoints.find(({ id }) => id === "orders/1")).toBe(untouched);
    expect(untouched.stats.succeeded).toBe(17);
  }, 60_000);

  test("7: versions strictly grow while several services change, and in the end everybody sees what is there", async () => {
    const writers = await Promise.all([0, 1, 2].map((index) => open(`writer/${index}`)));
    const readers = await Promise.all([0, 1, 2].map((index) => open(`reader/${index}`)));
    const services = ["orders", "payments"];
    const seen = readers.flatMap(({ registry }) =>
      services.map((service) => {
        const snapshots: ServiceSnapshot[] = [];
        registry.watch(service, (snapshot) => snapshots.push(snapshot));
        return { service, snapshots };
      }),
    );
    await Promise.all(
      writers.map(async ({ registry }, writer) => {
        for (let turn = 0; turn < 30; turn++) {
          const service = services[turn % 2]!;
          const each = { ...instance(10 * writer + (turn % 7), service), weight: turn };
          const registration = await registry.register(each);
          if (turn % 3 === 0) await registration.deregister();
        }
      }),
    );
    for (const { service, snapshots } of seen) {
      const truth = (await readers[0]!.registry.lookup(service)).instances;
      expect(truth.length).toBeGreaterThan(3);
      await until(() => JSON.stringify(snapshots.at(-1)?.instances) === JSON.stringify(truth));
      const versions = snapshots.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    }
  }, 60_000);

  test("8: an empty list without a word is doubted, and told as such; without protection nobody is left", async () => {
    const orders = await open("orders/0");
    await orders.registry.register(instance(0));
    const [careful, trusting] = [await open("shop/0"), await open("shop/1")];
    const kept = directoryOf(careful, { emptyProtection: { confirmAfterMs: 60_000, expireAfterMs: 120_000 } });
    const believed = directoryOf(trusting, { emptyProtection: false });
    await until(() => kept.ids() === "0" && believed.ids() === "0");
    orders.refuse();
    await until(() => believed.ids() === "", expiryMaxMs);
    await until(() => kept.changes.at(-1)?.source === "protected");
    expect(kept.ids()).toBe("0");
    await expect(believed.directory.ready(1_000)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("9: after a thousand changes, as fast as they come, no update is lost", async () => {
    const tree = await rawClient();
    const [providers, application] = [`/dubbo/${interfaceName}/providers`, "/services/orders"];
    await tree.makePath(providers);
    await tree.makePath(application);
    const parties = await Promise.all(["shop/0", "shop/1", "shop/2"].map((client) => open(client)));
    const directories = parties.map((party) => directoryOf(party, { emptyProtection: false }));
    const node = (index: number): string =>
      `${providers}/${escape(`tri://10.2.0.${index}:1/${interfaceName}?group=orders`)}`;
    const content = (index: number): Buffer => Buffer.from(JSON.stringify({ address: `10.3.0.${index}`, port: 1 }));
    const work: Promise<unknown>[] = [];
    for (let change = 0; change < 500; change++) {
      const index = change % 25;
      const isComing = Math.floor(change / 25) % 2 === 0;
      const ephemeral = { isEphemeral: true };
      work.push(isComing ? tree.create(node(index), Buffer.alloc(0), ephemeral) : tree.delete(node(index)));
      const path = `${application}/10.3.0.${index}:1`;
      work.push(isComing ? tree.create(path, content(index), ephemeral) : tree.delete(path));
    }
    await Promise.all(work);
    await Promise.all([3, 14].map((index) => tree.create(node(index), Buffer.alloc(0))));
    await Promise.all([5, 9].map((index) => tree.create(`${application}/10.3.0.${index}:1`, content(index))));
    const truth = ["10.2.0.14:1", "10.2.0.3:1", "10.3.0.5:1", "10.3.0.9:1"].join();
    await until(() => directories.every(({ directory }) => directory.endpoints.map(({ id }) => id).join() === truth));
    for (const { changes } of directories) {
      const versions = changes.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    }
  }, 60_000);

  test("10: a rule reaches every subscriber, each version at most once, and the last is the same everywhere", async () => {
    const key = { key: "orders.tag-router", group: "dubbo" };
    const parties = await Promise.all([0, 1, 2, 3].map((index) => clients.openConfigCenter(`shop/${index}`)));
    const seen = parties.map(({ configCenter }) => {
      const documents: ConfigDocument[] = [];
      configCenter.watch(key, (document) => documents.push(document));
      return documents;
    });
    let conflicts = 0;
    await Promise.all(
      parties.map(async ({ configCenter, reset }, index) => {
        for (let turn = 0; turn < 15; turn++) {
          try {
            const { version } = await configCenter.get(key);
            await configCenter.publish(key, `${turn} by ${index}`, { ifVersion: version });
          } catch (error) {
            // Somebody else was faster, or the answer was lost along with the connection.
            const { code } = error as { code: string };
            expect(["ABORTED", "UNAVAILABLE"]).toContain(code);
            if (code === "ABORTED") conflicts++;
          }
          if (turn === 7 && index === 2) reset();
        }
      }),
    );
    expect(conflicts).toBeGreaterThan(0);
    const final = await parties[0]!.configCenter.get(key);
    await until(() => seen.every((documents) => documents.at(-1)?.version === final.version), recoverWithinMs);
    for (const documents of seen) {
      expect(documents.at(-1)).toEqual(final);
      const versions = documents.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    }
  }, 60_000);

  test("11: who deregisters, waits and drains loses no call, and gets none any more before its port closes", async () => {
    const leaving = await startNode("provider", "orders/0", providerConfig);
    await startNode("provider", "orders/1", providerConfig);
    const shop = await startNode("consumer", "shop/0", consumerConfig());
    const driven = shop.drive(100, 3);
    await clock.sleep(second);
    const drained = leaving.drain();
    await until(() => shop.membership().at(-1)?.instances.join() === "orders/1");
    const goneUs = clock.nowUs();
    await drained;
    await driven;
    expect(shop.codes()).toEqual({ OK: 300 });
    const attempts = shop.calls().flatMap((call) => call.attempts);
    expect(attempts.some(({ instance: id, beginUs }) => id === "orders/0" && beginUs > goneUs)).toBe(false);
    expect(attempts.some(({ instance: id }) => id === "orders/0")).toBe(true);
  }, 60_000);

  describe("besides", () => {
    test("a registration whose answer was lost is found again, not made twice", async () => {
      const orders = await open("orders/0");
      await orders.registry.register(instance(9));
      const tree = await rawClient();
      // The transaction goes through, and its answer doesn't.
      const lost = new Promise<void>((resolve) => {
        orders.path.onSent = (chunk) => {
          if (chunk.length < 12 || chunk.readInt32BE(8) !== opcode.multi) return;
          orders.path.onSent = undefined;
          orders.path.cut("replies");
          resolve();
        };
      });
      const registered = orders.registry.register(instance(0));
      await lost;
      await until(async () => (await ownersOfNodes(tree)).length === 4);
      const births = async () =>
        (await Promise.all((await nodes(tree)).map((path) => tree.exists(path)))).map((stat) => stat!.czxid).toSorted();
      const made = await births();
      orders.path.reset();
      orders.heal();
      await registered;
      expect(await births()).toEqual(made);
      expect(new Set(await ownersOfNodes(tree))).toEqual(new Set([sessionOf(orders).id]));
    });

    test("two services at one address don't take each other's place", async () => {
      for (const level of ["interface", "application"]) {
        const orders = await open("orders/0", { level });
        await orders.registry.register(instance(0, "orders"));
        await orders.registry.register(instance(0, "payments"));
        for (const service of ["orders", "payments"]) {
          expect((await orders.registry.lookup(service)).instances.map(({ id }) => id)).toEqual([`${service}/0`]);
        }
      }
    });

    test("who restarts at its old address takes its dead predecessor's place at once, and keeps it", async () => {
      const [first, second_] = [await open("orders/0"), await open("orders/0")];
      await first.registry.register(instance(0));
      const { id } = sessionOf(first);
      first.refuse();
      await second_.registry.register({ ...instance(0), metadata: { version: "2" } });
      const tree = await rawClient();
      expect(new Set(await ownersOfNodes(tree))).toEqual(new Set([sessionOf(second_).id]));
      expect(sessionOf(second_).id).not.toBe(id);
      await clock.sleep(settleMs * 1000);
      expect((await ownersOfNodes(tree)).length).toBe(2);
    });

    test("a predecessor that isn't dead doesn't take out its successor when it leaves", async () => {
      const level = "application";
      const [first, second_] = [await open("orders/0", { level }), await open("orders/0", { level })];
      const shop = await open("shop/0", { level });
      const old = await first.registry.register(instance(0));
      const { directory, changes } = directoryOf(shop);
      await until(() => directory.endpoints.length === 1);
      await second_.registry.register({ ...instance(0), metadata: { version: "2" } });
      const tree = await rawClient();
      const [node] = await nodes(tree);
      const { czxid } = (await tree.exists(node!))!;
      await old.deregister();
      await first.registry.close();
      await clock.sleep(second);
      expect(directory.endpoints.map(({ metadata }) => metadata["version"])).toEqual(["2"]);
      expect(changes.flatMap(({ removed }) => removed)).toEqual([]);
      // The very node, not one that was made again.
      expect((await tree.exists(node!))?.czxid).toBe(czxid);
    });

    for (const level of ["interface", "application"]) {
      test(`a consumer whose session expired isn't deaf afterwards (level=${level})`, async () => {
        const [orders, shop] = [await open("orders/0", { level }), await open("shop/0", { level })];
        await orders.registry.register(instance(0));
        const { ids } = directoryOf(shop);
        await until(() => ids() === "0");
        await closeSession(shop);
        await until(() => shop.events.some((event) => event.type === "registry" && event.state === "expired"));
        await until(() => shop.registry.state === "connected");
        await orders.registry.register(instance(1));
        await until(() => ids() === "0,1");
      });
    }

    test("nodes that somebody deleted by hand are made again", async () => {
      const orders = await open("orders/0");
      await orders.registry.register(instance(0));
      const tree = await rawClient();
      for (const path of await nodes(tree)) await tree.delete(path);
      await until(async () => (await nodes(tree)).length === 2);
    });

    test("a provider that can't say goodbye does so when it is back", async () => {
      const [orders, shop] = [await open("orders/0", { sessionTimeoutMs: 10_000 }), await open("shop/0")];
      const registration = await orders.registry.register(instance(0));
      const { ids } = directoryOf(shop, { emptyProtection: false });
      await until(() => ids() === "0");
      orders.refuse();
      const refused = expect(registration.deregister()).rejects.toMatchObject({ code: "UNAVAILABLE" });
      await clock.sleep(second / 2);
      orders.heal();
      await refused.catch(() => undefined);
      await until(() => ids() === "", recoverWithinMs);
    });

    test("the tree is what Dubbo makes, and consumers are shown", async () => {
      const [orders, shop] = [await open("orders/0"), await open("shop/0")];
      await orders.registry.register(instance(0));
      const { ids } = directoryOf(shop);
      await until(() => ids() === "0");
      const tree = await rawClient();
      await until(async () => (await tree.exists(`/dubbo/${interfaceName}/consumers`)) !== undefined);
      const list = async (path: string) => (await tree.getChildren(path)).names;
      expect((await list("/")).toSorted()).toEqual(["dubbo", "services"]);
      expect((await list("/dubbo")).toSorted()).toEqual([interfaceName, "mapping", "orders"]);
      expect((await list(`/dubbo/${interfaceName}`)).toSorted()).toEqual(["consumers", "providers"]);
      expect((await tree.getData(`/dubbo/mapping/${interfaceName}`)).data.toString()).toBe("orders");
      expect(await list("/services/orders")).toEqual(["10.1.0.0:20880"]);
      const [revision] = await list("/dubbo/orders");
      const { data } = await tree.getData("/services/orders/10.1.0.0:20880");
      expect(data.toString()).toContain(`"dubbo.metadata.revision":"${revision}"`);
      await until(async () => (await list(`/dubbo/${interfaceName}/consumers`)).length === 1);
      expect(decodeURIComponent((await list(`/dubbo/${interfaceName}/consumers`))[0]!)).toMatch(
        /^consumer:\/\/127\.0\.0\.1\/flyball\.worker\.v1\.Worker\?application=shop&.*&group=orders&/,
      );
    });

    test("several applications that register at once are all in the mapping", async () => {
      const names = Array.from({ length: 12 }, (_, index) => `service-${index}`);
      const parties = await Promise.all(names.map((name) => open(`${name}/0`)));
      await Promise.all(parties.map(({ registry }, index) => registry.register(instance(index, names[index]))));
      const tree = await rawClient();
      const { data } = await tree.getData(`/dubbo/mapping/${interfaceName}`);
      expect(data.toString().split(",").toSorted()).toEqual(names.toSorted());
    });

    test("providers of dubbo-go are found at either level, and garbage beside them is passed over", async () => {
      const tree = await rawClient();
      const providers = `/dubbo/${interfaceName}/providers`;
      for (const path of [providers, "/services/orders", "/services/go-app", "/dubbo/mapping", "/dubbo/go-app"]) {
        await tree.makePath(path);
      }
      const put = (path: string, content: string) => tree.create(path, Buffer.from(content));
      const url = (host: string, query: string) => escape(`tri://${host}:20100/${interfaceName}?${query}`);
      await put(`${providers}/${url("10.4.0.1", "application=orders&release=dubbo-golang-3.3.2&weight=0")}`, "");
      await put(`${providers}/${url("10.4.0.2", "application=go-app&group=orders&weight=7")}`, "");
      await put(`${providers}/${url("10.4.0.3", "application=go-app")}`, "");
      await put(`${providers}/${url("10.4.0.4", "group=payments")}`, "");
      for (const garbage of [
        "%%%",
        "tri%3A%2F%2F",
        "🌍".toWellFormed().slice(0, 0) + "x",
        "tri%3A%2F%2Fh%3A99999%2FI",
      ]) {
        await put(`${providers}/${garbage}`, "");
      }
      const at = (address: string, storage: string) =>
        JSON.stringify({
          address,
          port: 20100,
          payload: { metadata: { "dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": storage } },
        });
      await put("/services/orders/10.4.1.1:20100", at("10.4.1.1", "local"));
      await put("/services/orders/10.4.1.2:20100", "{ nonsense");
      await put("/services/orders/10.4.1.3:20100", "");
      await put("/services/go-app/10.4.2.1:20100", at("10.4.2.1", "remote"));
      const services = { any: { name: interfaceName, protocol: "tri" } };
      await put("/dubbo/go-app/r1", JSON.stringify({ services }));
      await put(`/dubbo/mapping/${interfaceName}`, "go-app,nobody");
      const [strict, open_] = [await open("shop/0"), await open("shop/1", { parameters: "&anyGroup=true" })];
      const found = async ({ registry }: Party) =>
        (await registry.lookup("orders")).instances.map(({ id, weight }) => `${id} ${weight}`);
      expect(await found(strict)).toEqual(["10.4.0.1:20100 100", "10.4.0.2:20100 7", "10.4.1.1:20100 100"]);
      expect(await found(open_)).toEqual([
        "10.4.0.1:20100 100",
        "10.4.0.2:20100 7",
        "10.4.0.3:20100 100",
        "10.4.1.1:20100 100",
        "10.4.2.1:20100 100",
      ]);
      const watched = directoryOf(strict);
      await until(() => watched.directory.endpoints.length === 3);
      await tree.setData("/services/orders/10.4.1.2:20100", Buffer.from(at("10.4.1.2", "local")));
      await until(() => watched.directory.endpoints.length === 4);
    });

    test("a silent server costs nothing: no reconnecting without a pause, no timer left after close", async () => {
      const orders = await open("orders/0");
      await orders.registry.register(instance(0));
      const before = orders.path.accepted;
      orders.refuse();
      await clock.sleep(4 * second);
      // From 50 ms on, up to a second apart.
      expect(orders.path.accepted - before).toBeLessThan(14);
      expect(orders.path.accepted - before).toBeGreaterThan(3);
    });
  });
});

const instance = (index: number, service = "orders"): Instance => ({
  id: `${service}/${index}`,
  service,
  address: `10.1.0.${index}:20880`,
  weight: 100,
  metadata: {},
});

function directoryOf(party: Party, options: DirectoryOptions = {}, service = "orders") {
  const changes: MembershipChange[] = [];
  const directory = new Directory({
    clock,
    registry: party.registry,
    telemetry: { emit: (event) => void (event.type === "membership" && changes.push(event)) },
    service,
    options,
    onChange: () => undefined,
  });
  clients.add(() => directory.close());
  const ids = (): string => directory.endpoints.map(({ id }) => id.slice(id.indexOf("/") + 1)).join();
  return { directory, ids, changes };
}

/** Another client, to look at the tree and to change it. */
async function rawClient(): Promise<ZooKeeperClient> {
  const client = new ZooKeeperClient({
    clock,
    random: anyRandom(),
    servers: [target()],
    dial: (address) => address,
    chroot,
    sessionTimeoutMs: 30_000,
    onState: () => undefined,
  });
  clients.add(() => client.close());
  await client.connected();
  await client.makePath("/");
  return client;
}

/** The paths of every instance's nodes. */
async function nodes(tree: ZooKeeperClient): Promise<readonly string[]> {
  const list = async (path: string): Promise<readonly string[]> => {
    if ((await tree.exists(path)) === undefined) return [];
    return (await tree.getChildren(path)).names.map((name) => `${path}/${name}`);
  };
  const applications = await list("/services");
  return [...(await list(`/dubbo/${interfaceName}/providers`)), ...(await Promise.all(applications.map(list))).flat()];
}

async function stats(tree: ZooKeeperClient): Promise<readonly Stat[]> {
  const found = await Promise.all((await nodes(tree)).map((path) => tree.exists(path)));
  return found.filter((stat) => stat !== undefined);
}

const ownersOfNodes = async (tree: ZooKeeperClient): Promise<readonly bigint[]> =>
  (await stats(tree)).map(({ ephemeralOwner }) => ephemeralOwner);

/** The session that a client has, as the server told it. */
function sessionOf({ path }: Party) {
  return readConnectResponse(new JuteReader(path.greeting!.subarray(4))).session;
}

/** Ends a client's session behind its back, as only the server could: whoever has its id and password may. */
async function closeSession(party: Party): Promise<void> {
  const session = sessionOf(party);
  // Whose connection is gone may come back before the session is closed, and would have it again.
  party.path.refuse();
  await new Promise<void>((resolve) => {
    const thief = new Connection({
      clock,
      target: target(),
      session,
      timeoutMs: sessionTimeoutMs,
      lastZxid: 0n,
      connectWithinUs: 5 * second,
      onSession: () =>
        thief.request(
          opcode.closeSession,
          "",
          () => undefined,
          () => thief.close(),
        ),
      onZxid: () => undefined,
      onEvent: () => undefined,
      onClosed: () => resolve(),
    });
  });
  party.path.heal();
}

const providerConfig = { service: "orders", propagationMs: 300 };
const consumerConfig = () => ({
  application: "shop",
  calls: { service: "orders", timeoutMs: 2000 },
});

/** One program of the fleet in this process, on real ports, with ZooKeeper as its registry. */
async function startNode(program: string, node: string, config: object, disk?: string) {
  const path = await TestPath.open(target);
  const events: RuntimeEvent[] = [];
  const telemetry = { emit: (event: RuntimeEvent): void => void events.push(event) };
  const transport = tripleTransport({ clock });
  const ownDisk = disk ?? mkdtempSync(join(tmpdir(), "flyball-test-"));
  const context: NodeContext = {
    node,
    listen: "127.0.0.1:0",
    clock,
    random: anyRandom(),
    transport,
    disk: directoryDisk(ownDisk),
    telemetry,
    calls: new CallLog({ clock, telemetry }),
    policies: builtInPolicies,
    infrastructure: realInfrastructure({ dial: () => path.address }),
    work: (us) => clock.sleep(us),
  };
  const { parse, start } = programs.get(program)!;
  const url = `zookeeper://zookeeper:2181${chroot}`;
  const running = await start(context, parse({ registry: url, sessionTimeoutMs, ...config }));
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await running.stop();
    await transport.close();
    path.close();
    if (disk === undefined) rmSync(ownDisk, { recursive: true, force: true });
  };
  clients.add(stop);
  await running.go();
  const calls = (): readonly CallEnd[] => events.filter((event): event is CallEnd => event.type === "call.end");
  return {
    path,
    stop,
    calls,
    membership: () => events.filter((event): event is MembershipChange => event.type === "membership"),
    /** How many calls ended how. */
    codes: () => {
      const counts: Record<string, number> = {};
      for (const { code } of calls()) counts[code] = (counts[code] ?? 0) + 1;
      return counts;
    },
    drain: () => running.drain(),
    drive: (perSecond: number, seconds: number) =>
      running.drive!({
        startUs: clock.nowUs(),
        dueUs: Array.from({ length: perSecond * seconds }, (_, index) => Math.round((index / perSecond) * second)),
        isWarmUp: false,
      }),
  };
}

async function until(isSo: () => boolean | Promise<boolean>, withinMs = 5000): Promise<void> {
  const beginUs = clock.nowUs();
  for (;;) {
    const isLate = clock.nowUs() - beginUs > withinMs * 1000;
    if (await isSo()) return;
    if (isLate) throw new Error(`it didn't happen within ${withinMs} ms: ${isSo.toString()}`);
    await clock.sleep(5_000);
  }
}
