import { beforeAll, describe, expect, test, vi } from "vitest";

import type { ServiceSnapshot } from "../../../runtime/ports/registry.ts";
import { describeConfigCenter, describeRegistry } from "./contracts.fixture.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import { registries, untilShown } from "./registries.ts";
import { nacos, type RunningServer } from "./servers.ts";
import { describeReal, startTestServer } from "./testing.ts";

/** Three heartbeats. */
const timeoutMs = 4_500;

describeReal("Nacos", () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startTestServer(nacos);
  }, 120_000);

  const clients = (query: string, sessionTimeoutMs?: number): TestClients =>
    new TestClients({
      server: () => server,
      url: `nacos://127.0.0.1:8848?namespace=test${query}`,
      ports: [8848, 9848],
      sessionTimeoutMs,
    });

  describeRegistry("as a registry over http", {
    server: () => server,
    clients: () => clients("&pollMs=300", timeoutMs),
    timing: {
      pushWithinMs: 8_000,
      failWithinMs: 8_000,
      blipMs: 800,
      expiryMinMs: timeoutMs * 0.6,
      // The server looks each 5 s.
      expiryMaxMs: timeoutMs + 8_000,
      settleMs: 2 * (timeoutMs + 8_000),
      recoverWithinMs: 15_000,
    },
  });

  describeConfigCenter("as a config centre", {
    server: () => server,
    clients: () => clients(""),
    timing: { pushWithinMs: 8_000, failWithinMs: 8_000, recoverWithinMs: 15_000 },
    refusesBlanks: true,
  });

  describe("itself", () => {
    const api = async (path: string, method = "GET"): Promise<string> =>
      (await fetch(`http://${server.addressOf(8848)}/nacos/v1${path}`, { method })).text();
    const hosts = async (service: string): Promise<readonly { readonly metadata: Record<string, string> }[]> => {
      const query = new URLSearchParams({ serviceName: `DEFAULT_GROUP@@${service}`, namespaceId: "test" }).toString();
      return (JSON.parse(await api(`/ns/instance/list?${query}`)) as { hosts: [] }).hosts;
    };
    const inClients = async (query: string, use: (world: TestClients) => Promise<void>): Promise<void> => {
      const world = clients(query);
      try {
        await use(world);
      } finally {
        await world.close();
      }
    };
    const instance = (service: string) => ({
      ...{ id: `${service}/0`, service, address: "10.1.0.1:20880", weight: 50, metadata: { "dubbo.tag": "gray" } },
    });

    test.concurrent(
      "drops a killed provider after 10 to 21 s, and forgets it after 25 to 36, with its own timeouts over HTTP",
      () =>
        inClients("&pollMs=200&level=interface", async (world) => {
          const [orders, shop] = [await world.openRegistry("orders/0"), await world.openRegistry("shop/0")];
          await orders.registry.register(instance("timed"));
          let present = -1;
          shop.registry.watch("timed", ({ instances }) => (present = instances.length));
          await vi.waitUntil(() => present === 1, 5_000);
          const killedMs = performance.now();
          orders.refuse();
          await vi.waitUntil(() => present === 0, 25_000);
          expect(performance.now() - killedMs).toBeGreaterThan(10_000);
          // Busy machines tell it late.
          expect(performance.now() - killedMs).toBeLessThan(22_000);
          const name = "providers:flyball.worker.v1.Worker::timed";
          expect(await hosts(name)).toHaveLength(1);
          await vi.waitUntil(async () => (await hosts(name)).length === 0, { timeout: 25_000, interval: 200 });
          expect(performance.now() - killedMs).toBeGreaterThan(25_000);
          expect(performance.now() - killedMs).toBeLessThan(37_000);
        }),
      90_000,
    );

    test.concurrent(
      "is looked at from outside until it shows as many instances as it should, or time is up",
      () =>
        inClients("", async (world) => {
          const shows = (count: number, withinUs: number): Promise<boolean> =>
            untilShown(registries.nacos, new Map([["shown", count]]), {
              ...{ clock: world.clock, server, run: "test", withinUs },
              signal: AbortSignal.timeout(40_000),
            });
          const { registry } = await world.openRegistry("shown");
          await registry.register(instance("shown"));
          const beganUs = world.clock.nowUs();
          expect(await shows(1, 10_000_000)).toBe(true);
          expect(world.clock.nowUs() - beganUs).toBeGreaterThanOrEqual(registries.nacos.settlesWithinMs * 1000);
          expect(await shows(2, 300_000)).toBe(false);
          const both = shows(2, 20_000_000);
          await registry.register({ ...instance("shown"), id: "shown/1", address: "10.1.0.2:20880" });
          expect(await both).toBe(true);
        }),
      60_000,
    );

    test.concurrent(
      "tells a change by UDP, long before the next look, where its datagrams reach the client",
      async () => {
        const address = `${await server.container.ip("bridge")}:8848`;
        const world = new TestClients({ server: () => server, url: `nacos://${address}?namespace=test`, ports: [] });
        try {
          const [orders, shop] = [await world.openRegistry("orders/0"), await world.openRegistry("shop/0")];
          const seen: number[] = [];
          shop.registry.watch("pushed", ({ instances }) => seen.push(instances.length));
          await vi.waitUntil(() => seen.length === 1, 5_000);
          const registration = await orders.registry.register(instance("pushed"));
          await vi.waitUntil(() => seen.at(-1) === 1, 4_000);
          await registration.deregister();
          await vi.waitUntil(() => seen.at(-1) === 0, 4_000);
        } finally {
          await world.close();
        }
      },
      60_000,
    );

    test.concurrent(
      "tells a change over gRPC, long before the next look",
      () =>
        inClients("&protocol=grpc&pollMs=600000", async (world) => {
          const [orders, shop] = [await world.openRegistry("orders/0"), await world.openRegistry("shop/0")];
          const seen: number[] = [];
          shop.registry.watch("told", ({ instances }) => seen.push(instances.length));
          await vi.waitUntil(() => seen.length === 1, 5_000);
          const registration = await orders.registry.register(instance("told"));
          await vi.waitUntil(() => seen.at(-1) === 1, 10_000);
          await registration.deregister();
          await vi.waitUntil(() => seen.at(-1) === 0, 10_000);
        }),
      60_000,
    );

    for (const protocol of ["http", "grpc"]) {
      test.concurrent(
        `shows what Dubbo looks for: both levels, the mapping and the metadata (${protocol})`,
        () =>
          inClients(`&protocol=${protocol}&pollMs=300`, async (world) => {
            const service = `shown-${protocol}`;
            const { registry } = await world.openRegistry(`${service}/0`);
            await registry.register(instance(service));
            const byInterface = `providers:flyball.worker.v1.Worker::${service}`;
            await vi.waitUntil(
              async () => (await hosts(byInterface)).length + (await hosts(service)).length === 2,
              5_000,
            );
            expect((await hosts(byInterface))[0]!.metadata).toMatchObject({
              ...{ side: "provider", protocol: "tri", interface: "flyball.worker.v1.Worker", group: service },
              ...{ weight: "50", "dubbo.tag": "gray", category: "providers", path: "/flyball.worker.v1.Worker" },
            });
            const { metadata } = (await hosts(service))[0]!;
            const revision = metadata["dubbo.metadata.revision"]!;
            expect(metadata["dubbo.metadata.storage-type"]).toBe("remote");
            expect(metadata["dubbo.endpoints"]).toBe('[{"port":20880,"protocol":"tri"}]');
            const config = (key: string, group: string) =>
              api(`/cs/configs?tenant=test&dataId=${encodeURIComponent(key)}&group=${group}`);
            const soon = { timeout: 40_000, interval: 100 };
            await vi.waitUntil(
              async () => (await config("flyball.worker.v1.Worker", "mapping")).split(",").includes(service),
              soon,
            );
            // Nacos shows each document a moment after it has taken it, and not in that order.
            const shown = (): Promise<unknown> => config(service, revision).then(JSON.parse);
            await vi.waitFor(async () => expect(await shown()).toMatchObject({ app: service, revision }), soon);
          }),
        60_000,
      );

      test.concurrent(
        `finds a provider as dubbo-go writes it, at either level (${protocol})`,
        () =>
          inClients(`&protocol=${protocol}&pollMs=300`, async (world) => {
            const service = `foreign-${protocol}`;
            const register = (name: string, ip: string, metadata: Record<string, string>): Promise<string> => {
              const instance = { serviceName: `DEFAULT_GROUP@@${name}`, namespaceId: "test", ip, port: "20100" };
              const query = new URLSearchParams({ ...instance, ephemeral: "true", metadata: JSON.stringify(metadata) });
              return api(`/ns/instance?${query.toString()}`, "POST");
            };
            await register(`providers:flyball.worker.v1.Worker::${service}`, "10.9.0.1", {
              ...{ protocol: "tri", path: "/flyball.worker.v1.Worker", "nacos.category": "providers", weight: "0" },
              ...{ release: "dubbo-golang-3.3.2", group: service, application: "go-prov", region: "east", version: "" },
            });
            const offer = { name: "flyball.worker.v1.Worker", group: service, protocol: "tri", port: 20102 };
            const written = {
              dataId: service,
              group: "r1",
              tenant: "test",
              content: JSON.stringify({ services: { offer } }),
            };
            await api(`/cs/configs?${new URLSearchParams(written).toString()}`, "POST");
            await register(service, "10.9.0.3", {
              ...{ id: "10.9.0.3:20100", "dubbo.endpoints": '[{"port":20102,"protocol":"tri"}]' },
              ...{ "dubbo.metadata.storage-type": "remote", "dubbo.metadata.revision": "r1", "registry.id": "nacos" },
            });
            await register(service, "10.9.0.2", {
              ...{ id: "10.9.0.2:20100", "dubbo.endpoints": '[{"port":20101,"protocol":"tri"}]' },
              ...{ "dubbo.metadata.storage-type": "local", "registry.id": "nacos", "dubbo.tag": "gray" },
            });
            const { registry } = await world.openRegistry("shop/0");
            await vi.waitUntil(async () => (await registry.lookup(service)).instances.length === 3, {
              timeout: 5_000,
              interval: 100,
            });
            expect((await registry.lookup(service)).instances).toMatchObject([
              { id: "10.9.0.1:20100", weight: 100, metadata: { region: "east" } },
              { id: "10.9.0.2:20101", weight: 100, metadata: { "dubbo.tag": "gray" } },
              { id: "10.9.0.3:20102", weight: 100, metadata: { group: service } },
            ]);
            const told: ServiceSnapshot[] = [];
            const watcher = await world.openRegistry("shop/1");
            watcher.registry.watch(service, (snapshot) => told.push(snapshot));
            await vi.waitUntil(() => told.length > 0, 5_000);
            // The first list is whole, although it has to be asked in which group the third is called.
            expect(told[0]!.instances.map(({ metadata }) => metadata["group"])).toEqual([service, undefined, service]);
          }),
        60_000,
      );
    }
  });
});
