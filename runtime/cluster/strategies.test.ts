import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { RpcError } from "../call/status.ts";
import { isImplausible } from "../fixtures.ts";
import { available } from "./available.ts";
import { broadcast } from "./broadcast.ts";
import { failback } from "./failback.ts";
import { failsafe } from "./failsafe.ts";
import { ClusterWorld, down, emptyReply, noInstance, ok, reply, type Behaviour } from "./fixtures.ts";
import { forking } from "./forking.ts";
import { zoneAware } from "./zone-aware.ts";

const ids = ({ sent }: ClusterWorld): string[] => sent.map(({ id }) => id);
const second = 1_000_000;

describe("failsafe", () => {
  test("makes one attempt, and a caller never hears that it failed", async () => {
    expect((await new ClusterWorld({ behave: () => ok }).run(failsafe)).response).toBe(reply);
    const failing = new ClusterWorld({ behave: () => down });
    expect((await failing.run(failsafe)).response).toBe(emptyReply);
    expect(failing.sent).toHaveLength(1);
    expect((await new ClusterWorld({ size: 0, behave: () => ok }).run(failsafe)).response).toBe(emptyReply);
  });

  test("says what the caller gets when its time is over", async () => {
    const world = new ClusterWorld({ behave: () => ({ tookUs: 9 * second }), timeoutUs: second });
    await world.run(failsafe);
    expect(world.fallback).toBe(emptyReply);
  });
});

describe("failback", () => {
  test("answers at once, and redelivers every 5 s, three times, each elsewhere than the one before", async () => {
    const world = new ClusterWorld({ behave: () => down });
    const { response, atUs } = await world.run(failback);
    expect(response).toBe(emptyReply);
    expect(atUs).toBe(1000);
    expect(world.redeliveries.map((each) => each.atUs)).toEqual([5_001_000, 10_002_000, 15_003_000]);
    expect(ids(world)).toEqual(["orders/0", "orders/1", "orders/0", "orders/1"]);
    expect(world.sent.map(({ previous }) => previous)).toEqual([0, 1, 2, 3]);
    expect(world.reports).toEqual(["gave up"]);
    expect(world.clock.pending).toBe(0);
  });

  test("stops as soon as it is delivered, and passes a first answer on", async () => {
    const late = new ClusterWorld({ behave: (attempt) => (attempt < 2 ? down : ok) });
    await late.run(failback);
    expect(late.sent).toHaveLength(3);
    expect(late.reports).toEqual([]);
    const first = new ClusterWorld({ behave: () => ok });
    expect((await first.run(failback)).response).toBe(reply);
    expect(first.redeliveries).toEqual([]);
  });

  test("waits also where there was no instance, and redelivers what ran out of time", async () => {
    const empty = new ClusterWorld({ size: 0, behave: () => ok });
    expect((await empty.run(failback)).response).toBe(emptyReply);
    expect(empty.redeliveries).toHaveLength(3);
    const slow = new ClusterWorld({
      behave: (attempt) => (attempt === 0 ? { tookUs: 9 * second } : ok),
      timeoutUs: second,
    });
    await slow.run(failback);
    expect(slow.sent).toHaveLength(2);
  });

  test("holds so many calls at most, drops one more, and what waits when it is closed", async () => {
    const world = new ClusterWorld({ behave: () => down });
    const cluster = world.cluster(failback, { failback: { tasks: 2, intervalMs: 1000 } });
    for (let call = 0; call < 3; call++) await world.play(cluster, 1000);
    expect(world.reports).toEqual(["dropped"]);
    // The calls' own deadlines, and the two that wait.
    cluster.close!();
    expect(world.reports).toEqual(["dropped", "dropped"]);
    await world.clock.advance(60 * second);
    expect(world.redeliveries).toEqual([]);
  });

  // https://github.com/apache/dubbo-go/issues/3179: a fixed interval brings all of them back at once.
  test("spreads redeliveries by the jitter, never later than the interval", async () => {
    const world = new ClusterWorld({ size: 9, behave: () => down });
    const cluster = world.cluster(failback, { retries: 1, failback: { jitter: 0.5, intervalMs: 1000 } });
    for (let call = 0; call < 20; call++) void cluster(world.attempts());
    await world.clock.advance(60 * second);
    const delays = world.redeliveries.map(({ atUs }) => atUs - 1000);
    expect(delays).toHaveLength(20);
    expect(new Set(delays).size).toBeGreaterThan(10);
    for (const delay of delays) {
      expect(delay).toBeGreaterThanOrEqual(500_000);
      expect(delay).toBeLessThanOrEqual(second);
    }
  });

  test("redelivers nothing that its caller cancelled, nor what isn't idempotent and may have been done", async () => {
    const cancelled = new ClusterWorld({ behave: () => ({ tookUs: second }) });
    cancelled.clock.after(1000, () => cancelled.call.cancel());
    await cancelled.run(failback);
    expect(cancelled.redeliveries).toEqual([]);
    const done = new ClusterWorld({ behave: () => down });
    await done.run(failback, { idempotent: false });
    expect(done.redeliveries).toEqual([]);
    const unseen = new ClusterWorld({ behave: () => ({ ...down, reach: "nowhere" }) });
    await unseen.run(failback, { idempotent: false });
    expect(unseen.redeliveries).toHaveLength(3);
  });
});

describe("forking", () => {
  test("calls two instances at once; the first good answer wins and the other is cancelled", async () => {
    const world = new ClusterWorld({ behave: (attempt) => ({ tookUs: attempt === 0 ? 50_000 : 5000 }) });
    const { response, atUs } = await world.run(forking);
    expect(response).toBe(reply);
    expect(atUs).toBe(5000);
    expect(world.sent.map(({ id, atUs: at, wasCancelled }) => [id, at, wasCancelled])).toEqual([
      ["orders/0", 0, true],
      ["orders/1", 0, false],
    ]);
  });

  test("waits for the other when one fails, and fails when all have", async () => {
    const one = new ClusterWorld({ behave: (attempt) => (attempt === 0 ? down : { tookUs: 9000 }) });
    expect(await one.run(forking)).toMatchObject({ response: reply, atUs: 9000 });
    const all = new ClusterWorld({ behave: () => down });
    expect((await all.run(forking)).error).toBe(all.errors.at(-1));
    expect((await new ClusterWorld({ size: 0, behave: () => ok }).run(forking)).error).toBe(noInstance);
  });

  test("calls different instances, as many as there are at most; 0 is all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.nat({ max: 8 }), async (size, forks) => {
        const world = new ClusterWorld({ size, behave: () => ok });
        await world.run(forking, { forking: { forks } });
        expect(new Set(ids(world)).size).toBe(world.sent.length);
        expect(world.sent).toHaveLength(forks === 0 ? size : Math.min(forks, size));
        world.call.end();
        expect(world.clock.pending).toBe(0);
      }),
    );
  });
});

describe("broadcast", () => {
  test("calls one instance after the other, and answers what the last one answered", async () => {
    const world = new ClusterWorld({ behave: () => ok });
    expect(await world.run(broadcast)).toMatchObject({ response: reply, atUs: 3000 });
    expect(ids(world)).toEqual(["orders/0", "orders/1", "orders/2"]);
    expect(world.sent.map(({ previous }) => previous)).toEqual([undefined, undefined, undefined]);
  });

  test("goes on after a failure, and rejects with the last one", async () => {
    const world = new ClusterWorld({ size: 4, behave: (attempt) => (attempt % 2 === 0 ? down : ok) });
    expect((await world.run(broadcast)).error).toBe(world.errors[1]);
    expect(world.sent).toHaveLength(4);
  });

  test("gives up once so many percent have failed; below one instance's share at the first failure", async () => {
    const sent = async (failPercent: number): Promise<number> => {
      const world = new ClusterWorld({ size: 10, behave: () => down });
      await world.run(broadcast, { broadcast: { failPercent } });
      return world.sent.length;
    };
    expect(await sent(100)).toBe(10);
    expect(await sent(20)).toBe(2);
    expect(await sent(29)).toBe(2);
    expect(await sent(5)).toBe(1);
    expect(await sent(0)).toBe(1);
  });

  test("calls nobody any more when its time is over; says why there is nobody", async () => {
    const world = new ClusterWorld({ behave: () => ({ tookUs: 400_000 }), timeoutUs: second });
    expect(((await world.run(broadcast)).error as RpcError).code).toBe("DEADLINE_EXCEEDED");
    expect(world.sent).toHaveLength(3);
    expect((await new ClusterWorld({ size: 0, behave: () => ok }).run(broadcast)).error).toBe(noInstance);
  });
});

describe("available", () => {
  test("always calls the first instance, and passes over one that can't be reached for a second", async () => {
    let isUp = true;
    const refused: Behaviour = { ...down, reach: "nowhere" };
    const world = new ClusterWorld({ behave: (_, { id }) => (isUp || id !== "orders/0" ? ok : refused) });
    const cluster = world.cluster(available);
    await world.play(cluster, 10_000);
    isUp = false;
    expect((await world.play(cluster, 10_000)).error).toBe(world.errors[0]);
    await world.play(cluster, 10_000);
    isUp = true;
    await world.play(cluster, second);
    await world.play(cluster, 10_000);
    expect(ids(world)).toEqual(["orders/0", "orders/0", "orders/1", "orders/1", "orders/0"]);
  });

  test("stays with an instance that answers, however badly", async () => {
    const world = new ClusterWorld({ behave: () => ({ code: "INTERNAL" }) });
    const cluster = world.cluster(available);
    for (let call = 0; call < 3; call++) await world.play(cluster, 10_000);
    expect(ids(world)).toEqual(["orders/0", "orders/0", "orders/0"]);
  });

  test("tries the first one where none can be reached", async () => {
    const world = new ClusterWorld({ size: 2, behave: () => ({ ...down, reach: "nowhere" }) });
    const cluster = world.cluster(available);
    for (let call = 0; call < 4; call++) await world.play(cluster, 1000);
    expect(ids(world)).toEqual(["orders/0", "orders/1", "orders/0", "orders/0"]);
    expect((await new ClusterWorld({ size: 0, behave: () => ok }).run(available)).error).toBe(noInstance);
  });
});

describe("zone-aware", () => {
  const zones = ["east", "east", "west", "west", "north"];
  const zone = { zone: "west" };

  test("stays in the caller's zone, and leaves it for the next when all of its instances have failed", async () => {
    const well = new ClusterWorld({ size: zones, behave: () => ok });
    await well.run(zoneAware, { zoneAware: zone });
    expect(ids(well)).toEqual(["orders/2"]);
    const hurt = new ClusterWorld({
      size: zones,
      behave: (_, { metadata }) => (metadata["zone"] === "west" ? down : ok),
    });
    expect((await hurt.run(zoneAware, { zoneAware: zone })).response).toBe(reply);
    expect(ids(hurt).slice(0, 2)).toEqual(["orders/2", "orders/3"]);
    expect(hurt.sent).toHaveLength(3);
  });

  test("a preferred zone goes before the caller's, and the call's own metadata before its settings", async () => {
    const preferring = new ClusterWorld({ size: zones, behave: () => ok });
    await preferring.run(zoneAware, { zoneAware: { ...zone, preferred: ["south", "north"] } });
    expect(ids(preferring)).toEqual(["orders/4"]);
    const told = new ClusterWorld({ size: zones, behave: () => ok, metadata: { "registry.zone": "east" } });
    await told.run(zoneAware, { zoneAware: zone });
    expect(ids(told)).toEqual(["orders/0"]);
  });

  test("in a zone that nobody knows goes on as without one", async () => {
    for (const settings of [{ zone: "atlantis" }, { preferred: ["atlantis", "mu"] }, { zone: "__proto__" }]) {
      const world = new ClusterWorld({ size: zones, behave: () => ok });
      expect((await world.run(zoneAware, { zoneAware: settings })).response).toBe(reply);
      expect(world.sent).toHaveLength(1);
    }
    const told = new ClusterWorld({ size: zones, behave: () => ok, metadata: { "registry.zone": "constructor" } });
    expect((await told.run(zoneAware, { zoneAware: zone })).response).toBe(reply);
  });

  test("rather fails than leave the zone where it is forced to stay", async () => {
    const settings = { zoneAware: { zone: "south", force: true } };
    const world = new ClusterWorld({ size: zones, behave: () => ok });
    expect((await world.run(zoneAware, settings)).error).toMatchObject({ code: "UNAVAILABLE" });
    expect(world.sent).toEqual([]);
    const metadata = { "registry.zone": "west", "registry.zone.force": "true" };
    const failing = new ClusterWorld({ size: zones, behave: () => down, metadata });
    await failing.run(zoneAware);
    // Both instances of the zone, and the first one once more.
    expect(ids(failing)).toEqual(["orders/2", "orders/3", "orders/2"]);
    expect((await new ClusterWorld({ size: 0, behave: () => ok }).run(zoneAware, settings)).error).toBe(noInstance);
  });

  test("without a zone of its own the zones share by their weights; 0 is called when no other is left", async () => {
    const world = new ClusterWorld({ size: zones, behave: () => ok });
    const cluster = world.cluster(zoneAware, { zoneAware: { weights: { east: 300, west: 100, north: 0 } } });
    for (let call = 0; call < 4000; call++) void cluster(world.attempts());
    await world.clock.advance(10_000);
    const count = (id: string): number => ids(world).filter((each) => each === id).length;
    expect(count("orders/4")).toBe(0);
    expect(isImplausible(count("orders/0"), 4000, 0.75)).toBe(false);
    const alone = new ClusterWorld({ size: ["north"], behave: () => ok });
    await alone.run(zoneAware, { zoneAware: { weights: { north: 0 } } });
    expect(ids(alone)).toEqual(["orders/0"]);
  });

  test("never leaves a zone while it has an instance that wasn't tried", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("east", "west", "north"), { minLength: 1, maxLength: 8 }),
        fc.constantFrom("east", "west", undefined),
        fc.nat({ max: 8 }),
        async (places, own, retries) => {
          const world = new ClusterWorld({ size: places, behave: () => down });
          await world.run(zoneAware, { retries, zoneAware: { zone: own } });
          const visited = ids(world).slice(0, places.length);
          expect(new Set(visited).size).toBe(visited.length);
          const inOrder = visited.map((id) => places[Number(id.split("/")[1])]!);
          const first = own !== undefined && places.includes(own) ? own : inOrder[0];
          expect(inOrder[0]).toBe(first);
          const changes = inOrder.filter((each, index) => each !== inOrder[index - 1]).length;
          expect(changes).toBe(new Set(inOrder).size);
        },
      ),
    );
  });
});
