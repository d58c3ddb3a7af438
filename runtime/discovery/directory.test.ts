import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { RpcError } from "../call/status.ts";
import type { Disk } from "../ports/disk.ts";
import type { Instance, Registry, RegistryState, RemovalReason, ServiceSnapshot } from "../ports/registry.ts";
import type { MembershipChange, RuntimeEvent } from "../telemetry/events.ts";
import { ManualClock } from "../testing/clock.ts";
import { Directory, type DirectoryOptions } from "./directory.ts";

class MemoryDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();
  async read(name: string): Promise<Uint8Array | undefined> {
    return this.files.get(name);
  }
  async append(name: string, bytes: Uint8Array): Promise<void> {
    this.files.set(name, new Uint8Array([...(this.files.get(name) ?? []), ...bytes]));
  }
  async sync(): Promise<void> {
    return undefined;
  }
  async rename(from: string, to: string): Promise<void> {
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
  }
  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }
}

/** A registry whose pushes are the test's. */
class ScriptedRegistry implements Registry {
  state: RegistryState = "connected";
  trouble: string | undefined;
  version = 0;
  instances: readonly Instance[] = [];
  isAway = false;
  listener: (snapshot: ServiceSnapshot) => void = () => undefined;

  push(ids: readonly (string | Instance)[], removed: Readonly<Record<string, RemovalReason>> = {}): void {
    this.version++;
    this.instances = ids.map((id) => (typeof id === "string" ? instance(id) : id));
    const gone = Object.entries(removed).map(([id, reason]) => ({ id, reason }));
    this.listener({ service: "orders", version: this.version, instances: this.instances, removed: gone });
  }
  async lookup(service: string): Promise<ServiceSnapshot> {
    if (this.isAway) throw new RpcError("away", { code: "UNAVAILABLE" });
    return { service, version: this.version, instances: this.instances, removed: [] };
  }
  watch(_: string, listener: (snapshot: ServiceSnapshot) => void): { close: () => void } {
    this.listener = listener;
    return { close: () => undefined };
  }
  register(): Promise<never> {
    throw new Error("unused");
  }
  async close(): Promise<void> {
    return undefined;
  }
}

const ms = 1000;

const instance = (id: string, changes: Partial<Instance> = {}): Instance => ({
  id,
  service: "orders",
  address: `${id}:1`,
  weight: 100,
  metadata: {},
  ...changes,
});

function scene(options: DirectoryOptions = {}, disk?: Disk) {
  const clock = new ManualClock();
  const registry = new ScriptedRegistry();
  const events: MembershipChange[] = [];
  const telemetry = { emit: (event: RuntimeEvent): void => void events.push(event as MembershipChange) };
  let changes = 0;
  const onChange = (): void => void changes++;
  const directory = new Directory({ clock, registry, telemetry, service: "orders", options, onChange, disk });
  return {
    clock,
    registry,
    events,
    directory,
    changes: () => changes,
    ids: () => directory.endpoints.map(({ id }) => id),
    /** The instance answers, or fails, a call. */
    call: (id: string, outcome: "succeeded" | "failed") => {
      directory.endpoints.find((endpoint) => endpoint.id === id)!.stats[outcome]++;
    },
  };
}

test("an instance that stays keeps its object; one whose labels change keeps its statistics", () => {
  const { registry, directory, call } = scene();
  registry.push(["a", "b"]);
  call("b", "succeeded");
  const [a, b] = directory.endpoints;
  registry.push(["a", instance("b", { weight: 50 })]);
  expect(directory.endpoints[0]).toBe(a);
  expect(directory.endpoints[1]).not.toBe(b);
  expect(directory.endpoints[1]!.stats).toBe(b!.stats);
  registry.push([instance("b", { weight: 50 })], { a: "expired" });
  registry.push(["a", instance("b", { weight: 50 })]);
  expect(directory.endpoints[0]!.stats).toBe(a!.stats);
});

test("the same list again changes nothing and says nothing", () => {
  const { registry, directory, events, changes } = scene();
  registry.push(["a", "b"]);
  const { endpoints } = directory;
  registry.push(["a", "b"]);
  expect(directory.endpoints).toBe(endpoints);
  expect(events).toHaveLength(1);
  expect(changes()).toBe(1);
});

test("an older version is ignored", () => {
  const { registry, ids } = scene();
  registry.push(["a", "b"]);
  registry.listener({ service: "orders", version: 0, instances: [], removed: [] });
  expect(ids()).toEqual(["a", "b"]);
});

test("an instance that moved to another address is another identity, and no departure", () => {
  const { registry, directory, events } = scene();
  registry.push(["a"]);
  const { stats } = directory.endpoints[0]!;
  registry.push([instance("a", { address: "elsewhere:1" })]);
  expect(directory.endpoints[0]!.stats).not.toBe(stats);
  expect(events.at(-1)!.removed).toEqual([]);
});

describe("an empty list", () => {
  test("is believed at once when every instance said goodbye", () => {
    const { registry, ids, events } = scene();
    registry.push(["a", "b"]);
    registry.push(["a"], { b: "deregistered" });
    registry.push([], { a: "deregistered" });
    expect(ids()).toEqual([]);
    expect(events.at(-1)).toMatchObject({ source: "registry", removed: [{ id: "a", reason: "deregistered" }] });
  });

  test("of instances that are gone, nobody knows why, is doubted, and a list that isn't empty is believed", () => {
    const { registry, ids, events } = scene();
    registry.push(["a", "b"]);
    registry.push(["a"], { b: "gone" });
    expect(ids()).toEqual(["a"]);
    expect(events.at(-1)).toMatchObject({ source: "registry", removed: [{ id: "b", reason: "gone" }] });
    registry.push([], { a: "gone" });
    expect(ids()).toEqual(["a"]);
    expect(events.at(-1)).toMatchObject({ source: "protected" });
  });

  test.each(["expired", "gone"] as const)(
    "of instances that are %s is believed by the second read, unless they answer calls",
    async (reason) => {
      const { registry, ids, events, clock, call } = scene();
      registry.push(["a", "b"]);
      registry.push([], { a: reason, b: reason });
      expect(ids()).toEqual(["a", "b"]);
      expect(events.at(-1)).toMatchObject({ source: "protected", instances: ["a", "b"] });
      call("b", "succeeded");
      await clock.advance(5000 * ms);
      expect(ids()).toEqual(["b"]);
      await clock.advance(5000 * ms);
      expect(ids()).toEqual([]);
      expect(events.at(-1)).toMatchObject({ source: "expired-protection" });
      expect(clock.pending).toBe(0);
    },
  );

  test("that nobody explains is believed after the expiry, not before", async () => {
    const { registry, ids, clock, call } = scene({ emptyProtection: { confirmAfterMs: 1000, expireAfterMs: 10_000 } });
    registry.push(["a"]);
    registry.push([]);
    call("a", "failed");
    await clock.advance(9999 * ms);
    expect(ids()).toEqual(["a"]);
    await clock.advance(1 * ms);
    expect(ids()).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test("isn't confirmed by a registry that is away", async () => {
    const { registry, ids, clock } = scene();
    registry.push(["a"]);
    registry.push([], { a: "expired" });
    registry.isAway = true;
    await clock.advance(30_000 * ms);
    expect(ids()).toEqual(["a"]);
    registry.isAway = false;
    await clock.advance(5000 * ms);
    expect(ids()).toEqual([]);
  });

  test("is forgotten when the instances come back", async () => {
    const { registry, ids, clock, events } = scene();
    registry.push(["a", "b"]);
    registry.push([]);
    registry.push(["b", "a"]);
    expect(ids()).toEqual(["b", "a"]);
    expect(events.at(-1)).toMatchObject({ source: "registry", removed: [] });
    await clock.advance(100_000 * ms);
    expect(ids()).toEqual(["b", "a"]);
    expect(clock.pending).toBe(0);
  });

  test("is believed at once without protection", () => {
    const { registry, ids } = scene({ emptyProtection: false });
    registry.push(["a"]);
    registry.push([]);
    expect(ids()).toEqual([]);
  });
});

describe("a partial list after a registry forgot", () => {
  test("doesn't take away who can't be explained; calls that fail do, when others are left", async () => {
    const { registry, ids, clock, call } = scene();
    registry.push(["a", "b", "c"]);
    registry.push(["a"]);
    expect(ids()).toEqual(["a", "b", "c"]);
    registry.push(["a", "c"]);
    call("b", "failed");
    await clock.advance(5000 * ms);
    expect(ids()).toEqual(["a", "c"]);
    expect(clock.pending).toBe(0);
  });

  test("is believed for what the registry explains", () => {
    const { registry, ids } = scene();
    registry.push(["a", "b", "c"]);
    registry.push(["a"], { b: "expired", c: "deregistered" });
    expect(ids()).toEqual(["a"]);
  });
});

describe("merging", () => {
  test("delivers the first change at once, the rest as the latest of them", async () => {
    const { registry, ids, clock, events } = scene({ mergeMs: 100 });
    registry.push(["a"]);
    expect(ids()).toEqual(["a"]);
    registry.push(["a", "b"]);
    registry.push(["a"], { b: "expired" });
    registry.push(["a", "c"]);
    expect(ids()).toEqual(["a"]);
    await clock.advance(100 * ms);
    expect(ids()).toEqual(["a", "c"]);
    expect(events).toHaveLength(2);
    await clock.advance(100 * ms);
    expect(clock.pending).toBe(0);
  });

  test("keeps a reason that came with a push which was merged away", async () => {
    const { registry, ids, clock, events } = scene({ mergeMs: 100 });
    registry.push(["a", "b"]);
    registry.push(["a"], { b: "expired" });
    registry.push([instance("a", { weight: 1 })]);
    await clock.advance(100 * ms);
    expect(ids()).toEqual(["a"]);
    expect(events.at(-1)!.removed).toEqual([{ id: "b", reason: "expired" }]);
  });
});

describe("the disk", () => {
  test("gives a cold start its list when the registry doesn't answer within a second", async () => {
    const disk = new MemoryDisk();
    const first = scene({}, disk);
    first.registry.push([instance("a", { metadata: { zone: "z" } }), "b"]);
    await first.clock.advance(2000 * ms);
    first.directory.close();

    const second = scene({}, disk);
    await second.clock.advance(999 * ms);
    expect(second.ids()).toEqual([]);
    await second.clock.advance(1 * ms);
    expect(second.ids()).toEqual(["a", "b"]);
    expect(second.directory.endpoints[0]!.metadata).toEqual({ zone: "z" });
    expect(second.events.at(-1)).toMatchObject({ source: "cache" });
    // A registry that forgot is no better than one that is away.
    second.registry.push([]);
    expect(second.ids()).toEqual(["a", "b"]);
    second.registry.push(["a", "b"]);
    expect(second.ids()).toEqual(["a", "b"]);
  });

  test("isn't asked when the registry answers", async () => {
    const disk = new MemoryDisk();
    const first = scene({}, disk);
    first.registry.push(["a"]);
    await first.clock.advance(2000 * ms);
    const second = scene({}, disk);
    second.registry.push(["b"]);
    await second.clock.advance(5000 * ms);
    expect(second.ids()).toEqual(["b"]);
  });

  test.each([
    ["no JSON", "{"],
    ["another format", '{"format":2,"service":"orders","instances":[]}'],
    ["another service", '{"format":1,"service":"x","instances":[]}'],
    ["a wrong instance", '{"format":1,"service":"orders","instances":[{"id":1}]}'],
    ["bytes that are no text", "\xff\xfe"],
  ])("that holds %s is as good as empty", async (_, content) => {
    const disk = new MemoryDisk();
    disk.files.set(
      "instances-orders.json",
      Uint8Array.from(content, (character) => character.charCodeAt(0)),
    );
    const { clock, ids } = scene({}, disk);
    await clock.advance(5000 * ms);
    expect(ids()).toEqual([]);
  });
});

describe("ready", () => {
  test("resolves with the first instance", async () => {
    const { registry, directory } = scene();
    const ready = directory.ready(1_000_000);
    registry.push([]);
    registry.push(["a"]);
    await ready;
    await directory.ready(1);
  });

  test("rejects UNAVAILABLE when none comes, and says what is known of the reason", async () => {
    const { clock, registry, directory } = scene();
    const states: (readonly [RegistryState, trouble: string | undefined, why: string])[] = [
      ["connected", undefined, "the registry knows none"],
      ["connecting", undefined, "the registry is connecting"],
      ["suspended", "10.0.0.2:8848 can't be reached", "the registry is suspended (10.0.0.2:8848 can't be reached)"],
    ];
    for (const [state, trouble, why] of states) {
      Object.assign(registry, { state, trouble });
      const ready = directory.ready(1_000_000);
      const message = `no instance of orders within 1000 ms: ${why}`;
      const refused = expect(ready).rejects.toMatchObject({ code: "UNAVAILABLE", message });
      await clock.advance(1000 * ms);
      await refused;
    }
    expect(clock.pending).toBe(0);
  });
});

test("whatever is pushed, the list is the registry's and those in doubt, without doubles; in the end it is the registry's", async () => {
  const id = fc.constantFrom("a", "b", "c", "d");
  const push = fc.record({
    ids: fc.uniqueArray(id, { maxLength: 4 }),
    reasons: fc.dictionary(id, fc.constantFrom<RemovalReason>("deregistered", "expired", "gone")),
    calls: fc.array(fc.tuple(id, fc.constantFrom("succeeded" as const, "failed" as const)), { maxLength: 3 }),
    waitMs: fc.nat({ max: 8000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(push, { maxLength: 12 }), fc.nat({ max: 500 }), async (pushes, mergeMs) => {
      const { registry, clock, directory, ids, call, events } = scene({ mergeMs });
      for (const { ids: pushed, reasons, calls, waitMs } of pushes) {
        const known = ids();
        const present = new Set<string>(pushed);
        registry.push(pushed, Object.fromEntries(Object.entries(reasons).filter(([gone]) => !present.has(gone))));
        for (const [called, outcome] of calls) if (ids().includes(called)) call(called, outcome);
        await clock.advance(waitMs * ms);
        if (waitMs >= mergeMs) for (const listed of pushed) expect(ids()).toContain(listed);
        for (const kept of ids()) expect([...known, ...pushed, ...registry.instances.map((x) => x.id)]).toContain(kept);
        expect(new Set(ids()).size).toBe(ids().length);
      }
      await clock.advance(70_000 * ms);
      expect([...ids()].sort()).toEqual(registry.instances.map(({ id: listed }) => listed).sort());
      const views = events.map(({ version }) => version);
      expect(views).toEqual([...views].sort((x, y) => x - y));
      directory.close();
      expect(clock.pending).toBe(0);
    }),
  );
});
