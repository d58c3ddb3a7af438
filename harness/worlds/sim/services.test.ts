import { embeddedOnly } from "../../../runtime/ports/infrastructure.ts";
import { afterEach, describe, expect, test } from "vitest";

import { builtInPolicies, createClient, type ServiceSettings } from "../../../runtime/call/client.ts";
import { createEmbeddedConfigCenter } from "../../../runtime/configuration/embedded.ts";
import { createEmbeddedRegistry } from "../../../runtime/discovery/embedded.ts";
import type { ConfigDocument } from "../../../runtime/ports/config-center.ts";
import type { Instance, ServiceSnapshot } from "../../../runtime/ports/registry.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import type { CallEnd, MembershipChange, RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { controlVersion, type FromNode, type ToNode } from "../../../services/control.ts";
import { createNode, type ControlledNode } from "../../../services/node.ts";
import { programs } from "../../../services/programs.ts";
import { Worker } from "../../../services/proto/worker_pb.ts";
import { nodeHost } from "../../cli/host.ts";
import { SimDisk } from "./disk.ts";
import { Engine } from "./engine.ts";
import { Network, type SimHost } from "./network.ts";
import { defaultParameters } from "./parameters.ts";
import { SimClock, SimProcess } from "./process.ts";
import { SimTransport } from "./transport.ts";

const host = await nodeHost();
const second = 1_000_000;
const registryAddress = "registry:1";
const configAddress = "config:1";

/** A machine that runs one program, or a test's own code. */
class Machine {
  readonly events: RuntimeEvent[] = [];
  readonly heard: FromNode[] = [];
  readonly host: SimHost;
  readonly disk: SimDisk;
  readonly #fleet: Fleet;
  readonly #name: string;
  process: SimProcess;
  #node: ControlledNode | undefined;
  #lives = 0;
  #waiting: { readonly type: FromNode["type"]; readonly resolve: (message: FromNode) => void }[] = [];

  constructor(fleet: Fleet, name: string, number: number) {
    this.#fleet = fleet;
    this.#name = name;
    this.process = new SimProcess(fleet.engine, number);
    this.host = fleet.network.addHost(name, name, this.process);
    this.disk = new SimDisk(fleet.engine.random.fork(`disk ${name}`));
  }

  /** What code on this machine needs. */
  ports() {
    const { network, engine } = this.#fleet;
    const { process } = this;
    const clock = new SimClock(process);
    const random = engine.random.fork(`${this.#name} ${this.#lives}`);
    const telemetry = { emit: (event: RuntimeEvent): void => void this.events.push(event) };
    return {
      clock,
      random,
      transport: new SimTransport({ network, host: this.host, process, clock }),
      disk: this.disk.open(process),
      telemetry,
      calls: new CallLog({ clock, telemetry }),
    };
  }

  async start(program: string, config: object = {}): Promise<void> {
    this.#lives++;
    this.process = new SimProcess(this.#fleet.engine, this.process.node);
    this.host.process = this.process;
    this.#node = createNode(
      programs.get(program)!,
      () => {
        const ports = this.ports();
        return {
          node: this.#name,
          listen: `${this.#name}:1`,
          policies: builtInPolicies,
          infrastructure: embeddedOnly,
          work: (us) => ports.clock.sleep(us),
          ...ports,
        };
      },
      (message) => this.#hear(message),
      { lagTickMs: 0 },
    );
    await this.ask(
      { type: "start", version: controlVersion, node: this.#name, program, config, seed: 1, listen: "", dial: {} },
      "listening",
    );
    await this.ask({ type: "go" }, "ready");
  }

  ask(message: ToNode, reply: FromNode["type"]): Promise<FromNode> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        type: reply,
        resolve: (heard) => (heard.type === "failed" ? reject(new Error(heard.message)) : resolve(heard)),
      });
      this.process.after(0, () => this.#node!.handle(message));
    });
  }

  kill(): void {
    this.process.kill();
    this.#fleet.network.crash(this.host);
    this.disk.crash();
  }

  membership(service?: string): readonly MembershipChange[] {
    return this.events.filter(
      (event): event is MembershipChange =>
        event.type === "membership" && (service === undefined || event.service === service),
    );
  }

  /** Logical calls of a service that ended. */
  calls(service: string): readonly CallEnd[] {
    const ids = new Set(
      this.events.flatMap((event) => (event.type === "call.begin" && event.service === service ? [event.call] : [])),
    );
    return this.events.filter((event): event is CallEnd => event.type === "call.end" && ids.has(event.call));
  }

  #hear(message: FromNode): void {
    this.heard.push(message);
    const index = this.#waiting.findIndex(({ type }) => type === message.type || message.type === "failed");
    if (index >= 0) this.#waiting.splice(index, 1)[0]!.resolve(message);
  }
}

class Fleet {
  readonly engine: Engine;
  readonly network: Network;
  readonly clock: SimClock;
  readonly #machines = new Map<string, Machine>();

  constructor(seed = 1) {
    this.engine = new Engine({ host, seed });
    this.network = new Network(this.engine, defaultParameters);
    this.clock = new SimClock(new SimProcess(this.engine, 0));
  }

  at(name: string): Machine {
    let machine = this.#machines.get(name);
    if (machine === undefined) {
      this.#machines.set(name, (machine = new Machine(this, name, this.#machines.size + 1)));
    }
    return machine;
  }

  run<T>(main: () => Promise<T>): Promise<T> {
    return this.engine.run(main);
  }

  sleep(seconds: number): Promise<void> {
    return this.clock.sleep(seconds * second);
  }

  /** Makes the network between two machines cut, or whole again. */
  cut(from: string, to: string, isCut: boolean): void {
    const link = this.network.link(this.at(from).host, this.at(to).host);
    link.setShape(isCut ? { cut: "both" } : {});
  }

  async registry(): Promise<void> {
    await this.at("registry").start("registry");
  }

  async providers(count: number, config: object = {}): Promise<void> {
    const names = Array.from({ length: count }, (_, index) => `orders/${index}`);
    await Promise.all(names.map((name) => this.at(name).start("provider", { ...providerConfig, ...config })));
  }

  async consumer(config: object = {}): Promise<Machine> {
    const machine = this.at("web/0");
    await machine.start("consumer", { ...consumerConfig, ...config });
    return machine;
  }

  /** Calls at `perSecond` for `seconds`, from now on. */
  drive(machine: Machine, perSecond: number, seconds: number): Promise<unknown> {
    const dueUs = Array.from({ length: perSecond * seconds }, (_, index) => Math.round((index * second) / perSecond));
    return machine.ask({ type: "drive", drive: { startUs: this.engine.now, dueUs, isWarmUp: false } }, "driven");
  }

  /** A registry client of the test's own. */
  registryClient(name = "observer") {
    return createEmbeddedRegistry({ ...this.at(name).ports(), address: registryAddress, client: name });
  }

  configCenter(name = "observer") {
    return createEmbeddedConfigCenter({ ...this.at(name).ports(), address: configAddress });
  }

  client(name: string, settings: ServiceSettings = {}) {
    const ports = this.at(name).ports();
    const registry = createEmbeddedRegistry({ ...ports, address: registryAddress, client: name });
    const client = createClient({ ...ports, registry, application: name });
    return { client, registry, stub: client.service("orders", Worker, settings) };
  }
}

const providerConfig = { service: "orders", application: "orders", registry: registryAddress };
const consumerConfig = { application: "web", calls: { service: "orders" }, registry: registryAddress };
const instance = (id: string, changes: Partial<Instance> = {}): Instance => ({
  id,
  service: "orders",
  address: `${id}:1`,
  weight: 100,
  metadata: {},
  ...changes,
});

let fleet = new Fleet();
afterEach(() => {
  fleet = new Fleet();
});

test("a fleet starts, calls and ends in order", () =>
  fleet.run(async () => {
    await fleet.registry();
    await fleet.providers(3, { serviceTime: { kind: "exponential", meanUs: 1000 } });
    const web = await fleet.consumer({ key: { name: "user", count: 10 } });
    await fleet.drive(web, 100, 3);
    const calls = web.calls("orders");
    expect(calls).toHaveLength(300);
    expect(calls.every(({ code }) => code === "OK")).toBe(true);
    expect(new Set(calls.map(({ attempts }) => attempts[0]!.instance)).size).toBe(3);
    for (const name of ["web/0", "orders/0", "registry"]) await fleet.at(name).ask({ type: "stop" }, "stopped");
    const phases = fleet.at("orders/0").events.flatMap((event) => (event.type === "node" ? [event.phase] : []));
    expect(phases).toEqual(["listening", "ready", "stopped"]);
  }));

describe("sessions", () => {
  test("a blip shorter than the session timeout changes no consumer's view", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(2);
      const web = await fleet.consumer();
      await fleet.sleep(1);
      const before = web.membership().length;
      fleet.cut("orders/0", "registry", true);
      await fleet.sleep(3);
      fleet.cut("orders/0", "registry", false);
      await fleet.sleep(20);
      expect(web.membership()).toHaveLength(before);
    }));

  test("a silent session expires between its timeout and a tick later, and comes back as exactly one instance", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(2);
      const web = await fleet.consumer();
      await fleet.sleep(1);
      const cutUs = fleet.engine.now;
      fleet.cut("orders/0", "registry", true);
      await fleet.sleep(10);
      const gone = web.membership().at(-1)!;
      expect(gone.removed).toEqual([{ id: "orders/0", reason: "expired" }]);
      // The last sign of life came at most a third of the timeout before the cut.
      expect(gone.atUs - cutUs).toBeGreaterThan(4 * second);
      expect(gone.atUs - cutUs).toBeLessThan(6.6 * second);
      fleet.cut("orders/0", "registry", false);
      await fleet.sleep(12);
      const snapshot = await fleet.registryClient().lookup("orders");
      expect(snapshot.instances.map(({ id }) => id).sort()).toEqual(["orders/0", "orders/1"]);
      expect([...web.membership().at(-1)!.instances].sort()).toEqual(["orders/0", "orders/1"]);
    }));

  test("a registry that was stopped for long expires nobody when it goes on", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(3);
      const web = await fleet.consumer();
      await fleet.sleep(1);
      const before = web.membership().length;
      fleet.at("registry").process.pause();
      await fleet.sleep(30);
      fleet.at("registry").process.resume();
      await fleet.sleep(10);
      expect(web.membership()).toHaveLength(before);
    }));

  test("a killed provider leaves within timeout and tick, and calls go on without it", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(3);
      const web = await fleet.consumer();
      const driving = fleet.drive(web, 50, 12);
      await fleet.sleep(1);
      fleet.at("orders/1").kill();
      await driving;
      expect(web.membership().at(-1)!.removed).toEqual([{ id: "orders/1", reason: "expired" }]);
      expect(web.calls("orders").filter(({ code }) => code !== "OK")).toEqual([]);
    }));
});

describe("a registry that goes away", () => {
  test("for a minute costs no call, and a new provider registers once it is back", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(3);
      const web = await fleet.consumer();
      await fleet.sleep(1);
      const driving = fleet.drive(web, 20, 80);
      fleet.at("registry").kill();
      await fleet.sleep(30);
      await fleet.at("orders/3").start("provider", providerConfig);
      await fleet.sleep(30);
      await fleet.registry();
      await driving;
      expect(web.calls("orders").filter(({ code }) => code !== "OK")).toEqual([]);
      expect(web.membership().every(({ instances }) => instances.length >= 3)).toBe(true);
      expect(web.membership().at(-1)!.instances).toContain("orders/3");
    }));

  test.each([1, 2, 3, 4, 5])("and forgets everything never empties a consumer's view (seed %i)", (seed) => {
    fleet = new Fleet(seed);
    return fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(5);
      const web = await fleet.consumer();
      await fleet.sleep(3);
      fleet.at("registry").kill();
      await fleet.sleep(2);
      await fleet.registry();
      const driving = fleet.drive(web, 50, 15);
      await driving;
      const views = web.membership().slice(1);
      expect(Math.min(5, ...views.map(({ instances }) => instances.length))).toBe(5);
      expect((await fleet.registryClient().lookup("orders")).instances).toHaveLength(5);
      expect(web.calls("orders").filter(({ code }) => code !== "OK")).toEqual([]);
    });
  });

  test("lets a consumer start cold from its disk", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(2);
      await fleet.consumer();
      await fleet.sleep(3);
      fleet.at("registry").kill();
      fleet.at("web/0").kill();
      await fleet.sleep(1);
      const web = await fleet.consumer();
      await fleet.drive(web, 20, 2);
      expect(web.membership().at(-1)).toMatchObject({ source: "cache", instances: ["orders/0", "orders/1"] });
      expect(web.calls("orders")).toHaveLength(40);
      expect(web.calls("orders").every(({ code }) => code === "OK")).toBe(true);
    }));

  test("is over for its clients within seconds of the network's return, though TCP would find out later", () =>
    fleet.run(async () => {
      await fleet.registry();
      const observer = fleet.registryClient();
      await fleet.sleep(1);
      const link = fleet.network.link(fleet.at("observer").host, fleet.at("registry").host);
      link.setShape({ cut: "both" });
      // What was sent first is sent again after 12.6 and after 25.4 s.
      await fleet.sleep(14);
      expect(observer.state).toBe("suspended");
      link.setShape({});
      await fleet.sleep(4);
      expect(observer.state).toBe("connected");
    }));

  test("while it is half-open is noticed: the watch is made again", () =>
    fleet.run(async () => {
      await fleet.registry();
      const observer = fleet.registryClient();
      const seen: ServiceSnapshot[] = [];
      observer.watch("orders", (snapshot) => seen.push(snapshot));
      await fleet.sleep(1);
      // Nothing reaches the observer any more, but what it sends arrives.
      const link = fleet.network.link(fleet.at("observer").host, fleet.at("registry").host);
      link.setShape({ cut: "backward" });
      await fleet.providers(1);
      await fleet.sleep(20);
      expect(seen.at(-1)!.instances).toEqual([]);
      link.setShape({});
      await fleet.sleep(10);
      expect(seen.at(-1)!.instances.map(({ id }) => id)).toEqual(["orders/0"]);
    }));
});

describe("watches", () => {
  test("1000 rapid changes: few pushes, ascending versions, and the last view is the truth", () =>
    fleet.run(async () => {
      await fleet.registry();
      const writer = fleet.registryClient("writer");
      const seen: ServiceSnapshot[] = [];
      fleet.registryClient().watch("orders", (snapshot) => seen.push(snapshot));
      await fleet.sleep(1);
      // The watch breaks in the midst of it.
      const storm = (async () => {
        for (let round = 0; round < 500; round++) {
          const registration = await writer.register(instance(`orders/${round % 7}`, { weight: round }));
          if (round % 3 === 0) await registration.deregister();
          else await writer.register(instance(`extra/${round % 11}`, { weight: round }));
        }
      })();
      for (let cuts = 0; cuts < 3; cuts++) {
        await fleet.sleep(0.03);
        fleet.network.link(fleet.at("observer").host, fleet.at("registry").host).reset();
      }
      await storm;
      await fleet.sleep(3);
      const truth = await writer.lookup("orders");
      expect(seen.at(-1)).toMatchObject({ version: truth.version, instances: truth.instances });
      const versions = seen.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
      expect(seen.length).toBeLessThan(30);
    }));

  test("1000 registrations at once reach a watcher in a handful of pushes", () =>
    fleet.run(async () => {
      await fleet.registry();
      const seen: ServiceSnapshot[] = [];
      fleet.registryClient().watch("orders", (snapshot) => seen.push(snapshot));
      const writers = Array.from({ length: 10 }, (_, index) => fleet.registryClient(`writer${index}`));
      await Promise.all(
        writers.flatMap((writer, w) =>
          Array.from({ length: 100 }, (_, index) => writer.register(instance(`orders/${w * 100 + index}`))),
        ),
      );
      await fleet.sleep(1);
      expect(seen.at(-1)!.instances).toHaveLength(1000);
      expect(seen.length).toBeLessThanOrEqual(4);
    }));
});

test("after close a registry client leaves nothing behind: no instance, no timer", () =>
  fleet.run(async () => {
    await fleet.registry();
    const client = fleet.registryClient();
    await client.register(instance("orders/0"));
    client.watch("orders", () => undefined);
    await fleet.sleep(5);
    await client.close();
    expect((await fleet.registryClient("other").lookup("orders")).instances).toEqual([]);
    const { length } = fleet.at("observer").events;
    await fleet.sleep(60);
    expect(fleet.at("observer").events).toHaveLength(length);
    expect(client.state).toBe("closed");
    await expect(client.register(instance("orders/0"))).rejects.toMatchObject({ code: "CANCELLED" });
  }));

describe("the registry refuses", () => {
  test.each([
    ["an empty id", { id: "" }],
    ["an empty service", { service: "" }],
    ["an address without a port", { address: "somewhere" }],
    ["port 0", { address: "host:0" }],
    ["control characters", { id: "a\nb" }],
  ])("%s", (_, changes) =>
    fleet.run(async () => {
      await fleet.registry();
      const refused = fleet.registryClient().register(instance("orders/0", changes));
      await expect(refused).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    }),
  );

  test("labels without end", () =>
    fleet.run(async () => {
      await fleet.registry();
      const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, "v"]));
      const client = fleet.registryClient();
      for (const metadata of [many, { k: "v".repeat(1025) }]) {
        const refused = client.register(instance("orders/0", { metadata }));
        await expect(refused).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
      }
    }));
});

describe("a graceful stop", () => {
  test.each([1, 2, 3])("fails no call, though retries are off (seed %i)", (seed) => {
    fleet = new Fleet(seed);
    return fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(3, { serviceTime: { kind: "exponential", meanUs: 30_000 } });
      const web = await fleet.consumer({ calls: { service: "orders", retries: 0, timeoutMs: 5000 } });
      const driving = fleet.drive(web, 200, 6);
      await fleet.sleep(2);
      await fleet.at("orders/0").ask({ type: "drain" }, "drained");
      await fleet.at("orders/0").ask({ type: "stop" }, "stopped");
      await driving;
      expect(web.calls("orders")).toHaveLength(1200);
      expect(web.calls("orders").filter(({ code }) => code !== "OK")).toEqual([]);
      const phases = fleet.at("orders/0").events.flatMap((event) => (event.type === "node" ? [event.phase] : []));
      expect(phases).toEqual(["listening", "ready", "deregistered", "draining", "stopped"]);
      // A service that left for good is believed at once.
      expect(web.membership().at(-1)!.removed).toEqual([{ id: "orders/0", reason: "deregistered" }]);
    });
  });

  test("of the last instance is believed at once: calls fail fast", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(1);
      const web = await fleet.consumer();
      await fleet.at("orders/0").ask({ type: "drain" }, "drained");
      expect(web.membership().at(-1)).toMatchObject({ instances: [], source: "registry" });
    }));

  test("doesn't wait for a registry that is away", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(1);
      fleet.at("registry").kill();
      await fleet.sleep(5);
      const beganUs = fleet.engine.now;
      await fleet.at("orders/0").ask({ type: "drain" }, "drained");
      expect(fleet.engine.now - beganUs).toBeLessThan(5 * second);
    }));
});

describe("the config centre", () => {
  test("numbers each document's versions, and publishes on condition", () =>
    fleet.run(async () => {
      await fleet.at("config").start("config-center");
      const center = fleet.configCenter();
      const key = { key: "orders.tag-router", group: "dubbo" };
      expect(await center.get(key)).toMatchObject({ version: 0, exists: false });
      expect(await center.publish(key, "a", { ifVersion: 0 })).toBe(1);
      await expect(center.publish(key, "b", { ifVersion: 0 })).rejects.toMatchObject({ code: "ABORTED" });
      expect(await center.publish(key, "b", { ifVersion: 1 })).toBe(2);
      expect(await center.remove(key)).toBe(3);
      expect(await center.remove(key)).toBe(3);
      expect(await center.get(key)).toMatchObject({ version: 3, exists: false, content: "" });
      expect(await center.publish(key, "c", { ifVersion: 0 })).toBe(4);
    }));

  test("lets one of many publishers win each round", () =>
    fleet.run(async () => {
      await fleet.at("config").start("config-center");
      const key = { key: "k", group: "g" };
      const centers = Array.from({ length: 5 }, (_, index) => fleet.configCenter(`writer${index}`));
      const seen: ConfigDocument[] = [];
      fleet.configCenter().watch(key, (document) => seen.push(document));
      for (let version = 0; version < 10; version++) {
        const outcomes = await Promise.allSettled(
          centers.map((center, index) => center.publish(key, `${version}:${index}`, { ifVersion: version })),
        );
        expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      }
      await fleet.sleep(1);
      expect(seen.at(-1)).toMatchObject({ version: 10 });
      const versions = seen.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    }));

  test("keeps what it confirmed across crashes, versions included", () =>
    fleet.run(async () => {
      await fleet.at("config").start("config-center");
      const center = fleet.configCenter();
      const key = { key: "k", group: "g" };
      const seen: ConfigDocument[] = [];
      center.watch(key, (document) => seen.push(document));
      for (let round = 1; round <= 5; round++) {
        expect(await center.publish(key, `round ${round}`)).toBe(round);
        fleet.at("config").kill();
        await fleet.sleep(1);
        await fleet.at("config").start("config-center");
        await fleet.sleep(3);
        expect(await center.get(key)).toMatchObject({ content: `round ${round}`, version: round });
      }
      expect(seen.map(({ version }) => version)).toEqual([0, 1, 2, 3, 4, 5]);
    }));

  test("refuses a document over 1 MiB, and a name that is none; a full disk is RESOURCE_EXHAUSTED", () =>
    fleet.run(async () => {
      await fleet.at("config").start("config-center");
      const center = fleet.configCenter();
      const key = { key: "k", group: "g" };
      await expect(center.publish(key, "é".repeat(524_289))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await expect(center.publish({ key: "", group: "g" }, "")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      fleet.at("config").disk.capacityBytes = 10;
      await expect(center.publish(key, "a".repeat(100))).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
      fleet.at("config").disk.capacityBytes = Infinity;
      expect(await center.publish(key, "é".repeat(524_288))).toBe(1);
    }));
});

test("a consumer that was paused sends at once what it missed, each call with its own due time", () =>
  fleet.run(async () => {
    await fleet.registry();
    await fleet.providers(1);
    const web = await fleet.consumer();
    const startUs = fleet.engine.now;
    const driving = fleet.drive(web, 100, 2);
    await fleet.sleep(0.5);
    web.process.pause();
    await fleet.sleep(1);
    web.process.resume();
    await driving;
    const begins = web.events.flatMap((event) =>
      event.type === "call.begin" && event.service === "orders" ? [event] : [],
    );
    expect(begins.map(({ dueUs }) => dueUs - startUs)).toEqual(begins.map((_, index) => index * 10_000));
    expect(begins.filter(({ atUs }) => atUs === startUs + 1.5 * second).length).toBeGreaterThanOrEqual(99);
  }));

describe("protection", () => {
  test("connections to an instance that left the directory are closed, and not to those that stayed", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(2);
      const web = await fleet.consumer();
      await fleet.drive(web, 50, 1);
      const isConnected = (name: string): boolean =>
        [...web.host.connections].some(({ link }) => link.to === fleet.at(name).host);
      expect([isConnected("orders/0"), isConnected("orders/1")]).toEqual([true, true]);
      // It deregisters and lives on: only its callers can close the connection.
      const registration = fleet.at("orders/1");
      void registration.ask({ type: "drain" }, "drained");
      await fleet.sleep(0.3);
      expect([isConnected("orders/0"), isConnected("orders/1")]).toEqual([true, false]);
    }));

  test("who watches health hears NOT_SERVING at the beginning of a drain, before the registry's news", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(2);
      const { client, stub } = fleet.client("web/1", { healthCheck: {}, cluster: "failfast" });
      await client.ready("orders", 1000);
      await fleet.sleep(0.5);
      // Cut off from the registry: health alone can tell.
      fleet.cut("web/1", "registry", true);
      void fleet.at("orders/1").ask({ type: "drain" }, "drained");
      await fleet.sleep(0.05);
      const answers = await Promise.all(Array.from({ length: 40 }, () => stub.do({})));
      expect(new Set(answers.map((answer) => answer.instance))).toEqual(new Set(["orders/0"]));
      const changes = fleet.at("web/1").events.flatMap((event) => (event.type === "policy" ? [event] : []));
      expect(changes).toMatchObject([{ policy: "health", instance: "orders/1", state: "not-serving" }]);
      await fleet.sleep(2);
      const phases = fleet.at("orders/1").events.flatMap((event) => (event.type === "node" ? [event.phase] : []));
      // The watch on it didn't hold it up.
      expect(phases.slice(-2)).toEqual(["deregistered", "draining"]);
      expect(fleet.at("orders/1").heard.at(-1)?.type).toBe("drained");
      client.close();
    }));

  test("a method has a timeout of its own, and a call on another's behalf ends before that one does", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.at("stock/0").start("provider", {
        ...{ service: "stock", application: "stock", registry: registryAddress },
        serviceTime: { kind: "constant", us: 5_000_000 },
      });
      await fleet.at("orders/0").start("provider", {
        ...providerConfig,
        calls: { service: "stock", cluster: "failfast", timeoutMs: 2_000, deadlineMarginMs: 30 },
      });
      const { client, stub } = fleet.client("web/1", {
        methodTimeoutsMs: { Do: 200 },
        timeoutMs: 5_000,
        cluster: "failfast",
      });
      await client.ready("orders", 1000);
      const beganUs = fleet.clock.nowUs();
      const error: unknown = await stub.do({}).catch((thrown: unknown) => thrown);
      const tookMs = (fleet.clock.nowUs() - beganUs) / 1000;
      // The answer of orders, and not the caller's own timer.
      expect(error).toMatchObject({ code: "DEADLINE_EXCEEDED" });
      expect(tookMs).toBeGreaterThan(165);
      expect(tookMs).toBeLessThan(175);
      const [end] = fleet.at("orders/0").calls("stock");
      expect(end).toMatchObject({ code: "DEADLINE_EXCEEDED" });
      client.close();
    }));

  test("a breaker turns calls away without an attempt, and says so in the history", () =>
    fleet.run(async () => {
      await fleet.registry();
      await fleet.providers(1, { errorRate: 1 });
      const web = await fleet.consumer({
        calls: { service: "orders", cluster: "failfast", breaker: { minCalls: 5, openMs: 10_000 } },
      });
      await fleet.drive(web, 50, 1);
      const ends = web.calls("orders");
      const rejected = ends.filter(({ rejectedBy }) => rejectedBy === "breaker");
      expect([ends.length, rejected.length]).toEqual([50, 45]);
      expect(rejected.every(({ attempts, code }) => attempts.length === 0 && code === "UNAVAILABLE")).toBe(true);
    }));
});
