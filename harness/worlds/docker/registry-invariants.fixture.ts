import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { Directory, type DirectoryOptions } from "../../../runtime/discovery/directory.ts";
import { systemClock } from "../../../runtime/node/clock.ts";
import { directoryDisk } from "../../../runtime/node/disk.ts";
import type { ConfigDocument } from "../../../runtime/ports/config-center.ts";
import type { Instance } from "../../../runtime/ports/registry.ts";
import type { MembershipChange } from "../../../runtime/telemetry/events.ts";
import { restart } from "./contracts.fixture.ts";
import { TestClients } from "./infrastructure.fixture.ts";
import type { RunningServer } from "./servers.ts";

const clock = systemClock();
const second = 1_000_000;

/** A registry, and how fast it is. */
export interface InvariantsKind {
  /** Run in the server's container, makes that it knows nothing when it starts again. Default: it does so by itself. */
  readonly forget?: readonly string[];
  readonly url: string;
  readonly ports: readonly number[];
  readonly sessionTimeoutMs: number | undefined;
  /** Of its config centre. */
  readonly configUrl: string;
  /** A change is seen within this time, on a busy machine. */
  readonly pushWithinMs: number;
  /** A killed provider disappears between these, after its last moment. */
  readonly killed: { readonly minMs: number; readonly maxMs: number };
  readonly blipMs: number;
  /** As in the registry's contract. */
  readonly isBoundToConnection: boolean;
}

/** Protection that asks and ends soon. */
const emptyProtection = { confirmAfterMs: 500, expireAfterMs: 120_000 };
const backWithinMs = 20_000;

/** Tests of the invariants, on a server that the caller starts, and that is killed and paused in them. */
export function describeInvariants(name: string, kind: InvariantsKind, server: () => RunningServer): void {
  describe(`${name}, whatever happens to it`, () => {
    /** What happens to the server would happen to every test. */
    const alone = (fact: string, holds: (scene: Scene) => Promise<void>): void =>
      void test(fact, () => inScene(holds), 180_000);
    const together = (fact: string, holds: (scene: Scene) => Promise<void>): void =>
      void test.concurrent(fact, () => inScene(holds), 180_000);
    let scenes = 0;
    const inScene = async (holds: (scene: Scene) => Promise<void>): Promise<void> => {
      const scene = new Scene(kind, server, `orders-${scenes++}`);
      try {
        await holds(scene);
      } finally {
        await scene.close();
      }
    };
    together("1: registration converges, and a killed one goes neither too early nor too late", async (scene) => {
      const providers = await scene.providers(5);
      const consumers = await Promise.all([0, 1, 2].map(() => scene.consumer()));
      await until(() => consumers.every(({ ids }) => ids() === "0,1,2,3,4"), kind.pushWithinMs);
      const killedUs = clock.nowUs();
      providers[3]!.refuse();
      const { minMs, maxMs } = kind.killed;
      await until(() => consumers.some(({ ids }) => ids() === "0,1,2,4"), maxMs);
      expect(clock.nowUs() - killedUs).toBeGreaterThan(minMs * 1000);
      await until(() => consumers.every(({ ids }) => ids() === "0,1,2,4"), maxMs);
    });

    together("2: a blip changes no membership", async (scene) => {
      const [orders] = await scene.providers(2);
      const shop = await scene.consumer();
      await until(() => shop.ids() === "0,1", kind.pushWithinMs);
      const before = shop.changes.length;
      for (const party of [orders!, shop.party]) {
        if (party === shop.party || !kind.isBoundToConnection) party.reset();
        await clock.sleep(kind.blipMs * 1000);
        party.cut();
        await clock.sleep(kind.blipMs * 1000);
        party.heal();
        await clock.sleep(kind.blipMs * 1000);
      }
      await clock.sleep(kind.killed.maxMs * 1000);
      expect(shop.changes.slice(before)).toEqual([]);
    });

    if (kind.isBoundToConnection) {
      together(
        "2: a connection that breaks is made again at once: nobody is away for longer than two seconds",
        async (scene) => {
          const [orders] = await scene.providers(2);
          const shop = await scene.consumer();
          await until(() => shop.ids() === "0,1", kind.pushWithinMs);
          await clock.sleep(2 * second);
          const before = shop.changes.length;
          orders!.reset();
          await clock.sleep(3 * second);
          const [leaving, coming, ...others] = shop.changes.slice(before);
          expect(others).toEqual([]);
          if (leaving !== undefined) expect(coming!.atUs - leaving.atUs).toBeLessThan(2 * second);
          expect(shop.ids()).toBe("0,1");
        },
      );
    }

    together("3: who was given up and comes back is there once, and stays", async (scene) => {
      const [orders] = await scene.providers(2);
      const shop = await scene.consumer();
      await until(() => shop.ids() === "0,1", kind.pushWithinMs);
      if (kind.isBoundToConnection) orders!.refuse();
      else orders!.cut();
      await until(() => shop.ids() === "1", kind.killed.maxMs);
      orders!.heal();
      await until(() => shop.ids() === "0,1", backWithinMs);
      await clock.sleep(2 * kind.killed.maxMs * 1000);
      expect(shop.ids()).toBe("0,1");
    });

    alone(
      "4: while the registry is down consumers keep their list, a cold one has the disk's, news waits",
      async (scene) => {
        await scene.providers(2);
        const disk = mkdtempSync(join(tmpdir(), "flyball-test-"));
        try {
          const shop = await scene.consumer({ disk });
          await until(() => shop.ids() === "0,1", kind.pushWithinMs);
          await clock.sleep(second);
          const before = shop.changes.length;
          const back = restart(server());
          await clock.sleep(second);
          const cold = await scene.consumer({ disk });
          await until(() => cold.ids() === "0,1", 3_000);
          const late = scene.provider(2);
          await Promise.all([back, late]);
          await until(() => shop.ids() === "0,1,2" && cold.ids() === "0,1,2", backWithinMs);
          // Whatever happened in between: nobody was without a provider.
          expect(shop.changes.slice(before).every(({ instances }) => instances.length > 0)).toBe(true);
        } finally {
          rmSync(disk, { recursive: true, force: true });
        }
      },
    );

    alone(
      "5: a registry that lost its memory leaves no consumer without providers, and everybody is back",
      async (scene) => {
        await scene.providers(6);
        const shops = [await scene.consumer({ emptyProtection }), await scene.consumer({ emptyProtection })];
        const everybody = "0,1,2,3,4,5";
        await until(() => shops.every(({ ids }) => ids() === everybody), kind.pushWithinMs);
        const before = shops.map(({ changes }) => changes.length);
        if (kind.forget !== undefined) await server().container.run(...kind.forget);
        await restart(server());
        const fresh = await scene.consumer();
        await until(() => [...shops, fresh].every(({ ids }) => ids() === everybody), backWithinMs);
        // A Consul that elects itself for longer than the TTL takes one or the other for dead until its next sign of life.
        for (const [index, { changes }] of shops.entries()) {
          for (const { instances } of changes.slice(before[index])) expect(instances.length).toBeGreaterThan(3);
        }
      },
    );

    together("6: a flapping instance is told at most once a turn, and leaves the others alone", async (scene) => {
      const [, flapping] = await scene.providers(2);
      const shop = await scene.consumer();
      await until(() => shop.ids() === "0,1", kind.pushWithinMs);
      const stable = shop.directory.endpoints.find(({ id }) => id === scene.id(0))!;
      const before = shop.changes.length;
      for (let turn = 0; turn < 4; turn++) {
        await flapping!.registration.deregister();
        await clock.sleep(second / 2);
        flapping!.registration = await flapping!.registry.register(scene.instance(1));
        await clock.sleep(second / 2);
      }
      await until(() => shop.ids() === "0,1", kind.pushWithinMs);
      await clock.sleep(2 * second);
      expect(shop.ids()).toBe("0,1");
      expect(shop.changes.length - before).toBeLessThanOrEqual(8);
      expect(shop.directory.endpoints.find(({ id }) => id === scene.id(0))).toBe(stable);
    });

    together("7: versions strictly increase, and the last one is what the registry holds", async (scene) => {
      const [orders] = await scene.providers(1);
      const shop = await scene.consumer();
      for (let index = 1; index <= 15; index++) {
        const registration = await orders!.registry.register(scene.instance(index));
        if (index % 2 === 0) await registration.deregister();
      }
      await until(() => shop.ids() === "0,1,3,5,7,9,11,13,15", kind.pushWithinMs);
      const versions = shop.changes.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b));
      const { instances } = await shop.party.registry.lookup(scene.service);
      expect(new Set(instances.map(({ id }) => id))).toEqual(new Set(shop.directory.endpoints.map(({ id }) => id)));
    });

    together("8: an empty push is refused with protection, and believed without", async (scene) => {
      const [orders] = await scene.providers(1);
      const [careful, credulous] = [await scene.consumer(), await scene.consumer({ emptyProtection: false })];
      await until(() => careful.ids() === "0" && credulous.ids() === "0", kind.pushWithinMs);
      orders!.refuse();
      await until(() => credulous.ids() === "", kind.killed.maxMs);
      await until(() => careful.changes.at(-1)?.source === "protected", kind.pushWithinMs);
      expect(careful.ids()).toBe("0");
      await expect(credulous.directory.ready(100_000)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    });

    alone("9: after two hundred rapid changes a consumer's list is the truth", async (scene) => {
      const parties = await scene.providers(4);
      const shop = await scene.consumer();
      await Promise.all(
        parties.map(async (party, index) => {
          for (let turn = 0; turn < 50; turn++) {
            const weight = turn === 49 ? 7 : turn;
            party.registration = await party.registry.register({ ...scene.instance(index), weight });
          }
          if (index % 2 === 1) await party.registration.deregister();
        }),
      );
      await until(() => shop.ids() === "0,2", 2 * kind.pushWithinMs);
      await until(() => shop.directory.endpoints.every(({ weight }) => weight === 7), kind.pushWithinMs);
    });

    together("10: a rule reaches every subscriber once per version, and a conflict is found", async (scene) => {
      const key = { key: `${scene.service}.tag-router`, group: "dubbo" };
      const writer = await scene.clients.openConfigCenter("admin/0");
      const seen: ConfigDocument[][] = [];
      for (let index = 0; index < 3; index++) {
        const { configCenter } = await scene.clients.openConfigCenter(`shop/${index}`);
        const documents: ConfigDocument[] = [];
        configCenter.watch(key, (document) => documents.push(document));
        seen.push(documents);
      }
      await until(() => seen.every(({ length }) => length === 1), kind.pushWithinMs);
      const versions: number[] = [];
      for (const content of ["force: true", "force: false", "enabled: true"]) {
        versions.push(await writer.configCenter.publish(key, content));
        await until(() => seen.every((documents) => documents.at(-1)?.content === content), kind.pushWithinMs);
      }
      for (const documents of seen) expect(documents.slice(1).map(({ version }) => version)).toEqual(versions);
      const late = writer.configCenter.publish(key, "late: true", { ifVersion: versions[1]! });
      await expect(late).rejects.toMatchObject({ code: "ABORTED" });
    });

    together("11: who takes leave is left alone soon, without a doubt", async (scene) => {
      const [orders] = await scene.providers(2);
      const shop = await scene.consumer();
      await until(() => shop.ids() === "0,1", kind.pushWithinMs);
      await orders!.registration.deregister();
      await until(() => shop.ids() === "1", kind.pushWithinMs);
      const [change] = shop.changes.slice(-1);
      expect(change?.source).toBe("registry");
      expect(["deregistered", "gone"]).toContain(change?.removed[0]?.reason);
    });

    alone("while it is away nobody spins: a knock a second, next to no processor time", async (scene) => {
      const [orders] = await scene.providers(1);
      const shop = await scene.consumer();
      await scene.clients.openConfigCenter("shop/0");
      await until(() => shop.ids() === "0", kind.pushWithinMs);
      const accepted = (): number =>
        [orders!, shop.party].flatMap(({ paths }) => paths).reduce((sum, path) => sum + path.accepted, 0);
      orders!.refuse();
      shop.party.refuse();
      const [knocks, processor] = [accepted(), process.cpuUsage()];
      await clock.sleep(8 * second);
      // Two clients; from 50 ms on, up to a second apart, and what was under way.
      expect(accepted() - knocks).toBeLessThan(2 * 30);
      const { user, system } = process.cpuUsage(processor);
      expect((user + system) / (8 * second)).toBeLessThan(0.2);
    });
  });
}

interface Provider extends Awaited<ReturnType<TestClients["openRegistry"]>> {
  registration: Awaited<ReturnType<Provider["registry"]["register"]>>;
}

/** One test's providers and consumers, of a service of its own. */
class Scene {
  readonly clients: TestClients;
  readonly service: string;
  readonly #directories: Directory[] = [];

  constructor(
    { url, configUrl, ports, sessionTimeoutMs }: InvariantsKind,
    server: () => RunningServer,
    service: string,
  ) {
    this.service = service;
    this.clients = new TestClients({
      server,
      url,
      configUrl,
      ports,
      sessionTimeoutMs,
    });
  }

  id(index: number): string {
    return `${this.service}/${index}`;
  }

  instance(index: number): Instance {
    const { service } = this;
    return { id: this.id(index), service, address: `10.1.0.${index}:20880`, weight: 100, metadata: {} };
  }

  providers(count: number): Promise<Provider[]> {
    return Promise.all([...Array(count).keys()].map((index) => this.provider(index)));
  }

  async provider(index: number): Promise<Provider> {
    const party = await this.clients.openRegistry(this.id(index));
    const registration = await party.registry.register(this.instance(index));
    return { ...party, registration };
  }

  async consumer({ disk, ...options }: DirectoryOptions & { readonly disk?: string } = {}) {
    const party = await this.clients.openRegistry("shop/0");
    const changes: MembershipChange[] = [];
    const directory = new Directory({
      clock,
      registry: party.registry,
      disk: disk === undefined ? undefined : directoryDisk(disk),
      telemetry: { emit: (event) => void (event.type === "membership" && changes.push(event)) },
      service: this.service,
      options,
      onChange: () => undefined,
    });
    this.#directories.push(directory);
    const ids = (): string => {
      const indexes = directory.endpoints.map(({ id }) => Number(id.slice(id.indexOf("/") + 1)));
      return indexes.toSorted((a, b) => a - b).join();
    };
    return { party, directory, changes, ids };
  }

  async close(): Promise<void> {
    for (const directory of this.#directories) directory.close();
    await this.clients.close();
  }
}

async function until(isSo: () => boolean | Promise<boolean>, withinMs: number): Promise<void> {
  const beginUs = clock.nowUs();
  for (;;) {
    const isLate = clock.nowUs() - beginUs > withinMs * 1000;
    if (await isSo()) return;
    if (isLate) throw new Error(`it didn't happen within ${withinMs} ms: ${isSo.toString()}`);
    await clock.sleep(5_000);
  }
}
