import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";

import { InstanceSchema, type Instance } from "../../runtime/discovery/proto/registry_pb.ts";
import { createRandom } from "../../runtime/random.ts";
import { ManualClock } from "../../runtime/testing/clock.ts";
import { RegistryStore, versionsPerEpoch } from "./store.ts";

const second = 1_000_000;

function scene(epoch = 0) {
  const clock = new ManualClock();
  const epochs: number[] = [];
  const onEpoch = (next: number): void => void epochs.push(next);
  const store = new RegistryStore({ clock, random: createRandom(1), epoch, onEpoch, tickMs: 500, mergeMs: 50 });
  const ids = (): readonly string[] =>
    store
      .catalog("orders")
      .snapshot(0)
      .instances.map(({ id }) => id);
  return { clock, store, epochs, ids };
}

const instance = (id: string, changes: { readonly weight?: number } = {}): Instance =>
  create(InstanceSchema, { id, service: "orders", address: `${id}:1`, weight: 100, ...changes });

test("a silent session ends after its timeout, at the next tick, with everything that it registered", async () => {
  const { clock, store, ids } = scene();
  const session = store.open(6000, "a");
  store.register(session.id, instance("a"));
  await clock.advance(6 * second);
  expect(ids()).toEqual(["a"]);
  await clock.advance(0.5 * second);
  expect(ids()).toEqual([]);
  expect(store.catalog("orders").snapshot(1).removed).toMatchObject([{ id: "a", reason: "expired" }]);
  expect(() => store.keepAlive(session.id)).toThrow("no such session");
});

test("a timeout is kept within bounds", () => {
  const { store } = scene();
  expect(store.open(1, "a").timeoutUs).toBe(100_000);
  expect(store.open(0, "a").timeoutUs).toBe(6 * second);
  expect(store.open(4_000_000_000, "a").timeoutUs).toBe(600 * second);
});

test("an instance that another session has taken over survives the end of its first one", () => {
  const { store, ids } = scene();
  const [old, young] = [store.open(6000, "a"), store.open(6000, "a")];
  store.register(old.id, instance("a"));
  const version = store.register(young.id, instance("a"));
  // The same instance in other hands is no news.
  expect(version).toBe(1);
  store.deregister(old.id, "orders", "a");
  store.close(old.id);
  expect(ids()).toEqual(["a"]);
  store.close(young.id);
  expect(ids()).toEqual([]);
});

test("who came back isn't among those that left", () => {
  const { store } = scene();
  const { id } = store.open(6000, "a");
  store.register(id, instance("a"));
  store.register(id, instance("b"));
  const seen = store.catalog("orders").version;
  store.deregister(id, "orders", "a");
  store.deregister(id, "orders", "b");
  store.register(id, instance("a"));
  const snapshot = store.catalog("orders").snapshot(seen);
  expect(snapshot.instances.map((listed) => listed.id)).toEqual(["a"]);
  expect(snapshot.removed).toMatchObject([{ id: "b", reason: "deregistered" }]);
});

test("versions begin with the epoch, which is kept before a service's changes outgrow it", () => {
  const { store, epochs } = scene(3);
  expect(store.catalog("orders").version).toBe(3 * versionsPerEpoch);
  const { id } = store.open(6000, "a");
  for (let weight = 1; weight <= versionsPerEpoch; weight++) store.register(id, instance("a", { weight }));
  expect(store.catalog("orders").version).toBe(4 * versionsPerEpoch);
  expect(epochs).toEqual([4]);
});

test("after stop no timer is left, and watches have ended", async () => {
  const { clock, store } = scene();
  const { id } = store.open(6000, "a");
  const watch = store.watch(id, "orders");
  store.register(id, instance("a"));
  store.stop();
  expect(clock.pending).toBe(0);
  await expect(watch.bell.rung()).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test("a watch hears something in every third of its session's timeout", async () => {
  const { clock, store } = scene();
  const { id } = store.open(6000, "a");
  const watch = store.watch(id, "orders");
  let silentUs = 0;
  for (let heard = 0; heard < 5; heard++) {
    let hasRung = false;
    void watch.bell.rung().then(() => (hasRung = true));
    const sinceUs = clock.nowUs();
    while (!hasRung) {
      store.keepAlive(id);
      await clock.advance(100_000);
    }
    silentUs = Math.max(silentUs, clock.nowUs() - sinceUs);
    watch.spokeUs = clock.nowUs();
  }
  expect(silentUs).toBeLessThanOrEqual(2 * second);
});

test("whatever sessions do, the list is what live sessions hold, and a reader's changes add up to it", async () => {
  const name = fc.constantFrom("a", "b", "c");
  const action = fc.oneof(
    fc.record({ what: fc.constant("open" as const), session: fc.nat({ max: 2 }) }),
    fc.record({
      what: fc.constantFrom("register" as const, "deregister" as const, "close" as const, "keepAlive" as const),
      session: fc.nat({ max: 2 }),
      name,
    }),
    fc.record({ what: fc.constant("wait" as const), ms: fc.nat({ max: 4000 }) }),
    fc.record({ what: fc.constant("read" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const { clock, store } = scene();
      const sessions: (string | undefined)[] = [];
      /** The model: who holds what, and until when. */
      const owners = new Map<string, string>();
      const heard = new Map<string, number>();
      let view = new Set<string>();
      let version = 0;
      const forget = (session: string): void => {
        heard.delete(session);
        for (const [id, owner] of owners) if (owner === session) owners.delete(id);
      };
      const read = (): void => {
        const snapshot = store.catalog("orders").snapshot(version);
        const next = new Set(snapshot.instances.map(({ id }) => id));
        // Everybody who is missing is explained.
        const gone = snapshot.removed.map(({ id }) => id);
        for (const id of view) if (!next.has(id)) expect(gone).toContain(id);
        for (const id of gone) expect(next.has(id)).toBe(false);
        version = snapshot.version;
        view = next;
      };
      for (const step of actions) {
        const session = "session" in step ? sessions[step.session] : undefined;
        const isAlive = session !== undefined && heard.has(session);
        if (step.what === "open") {
          sessions[step.session] = store.open(2000, "x").id;
          heard.set(sessions[step.session]!, clock.nowUs());
        } else if (step.what === "wait") {
          // In ticks, as the model expires in ticks.
          for (let tick = 0; tick < Math.floor(step.ms / 500); tick++) {
            await clock.advance(500_000);
            for (const [id, atUs] of heard) if (clock.nowUs() - atUs > 2_000_000) forget(id);
          }
        } else if (step.what === "read") {
          read();
        } else if (session === undefined) {
          continue;
        } else if (step.what === "close") {
          store.close(session);
          forget(session);
        } else if (!isAlive) {
          const act = (): unknown =>
            step.what === "keepAlive" ? store.keepAlive(session) : store.register(session, instance("a"));
          expect(act).toThrow("no such session");
        } else if (step.what === "keepAlive") {
          store.keepAlive(session);
          heard.set(session, clock.nowUs());
        } else if (step.what === "register") {
          store.register(session, instance(step.name));
          owners.set(step.name, session);
        } else {
          store.deregister(session, "orders", step.name);
          if (owners.get(step.name) === session) owners.delete(step.name);
        }
        expect(new Set(store.catalog("orders").instances.keys())).toEqual(new Set(owners.keys()));
      }
      read();
      expect(view).toEqual(new Set(owners.keys()));
      store.stop();
      expect(clock.pending).toBe(0);
    }),
  );
});
