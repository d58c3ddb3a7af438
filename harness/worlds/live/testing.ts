import { expect } from "vitest";

import type { CallEnd, RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { Plan } from "../../scenario/plan.ts";
import type { RunningFleet, World, WorldOptions } from "../world.ts";
import { smallPlan } from "./fixture.ts";

const isOrders = ({ attempts }: CallEnd): boolean => attempts.some(({ instance }) => instance.startsWith("orders/"));

/**
 * What every world of real nodes does with a small fleet, whatever its nodes are. A test file runs them all, and adds that nothing
 * is left behind:
 *
 *     for (const [fact, holds] of Object.entries(liveFacts)) test(fact, () => holds(world));
 */
export const liveFacts: Readonly<Record<string, (world: World) => Promise<void>>> = {
  "a fleet calls, loses nodes, and gets them back": async (world) => {
    const run = observed();
    await world.run(smallPlan(), run.options, async (fleet) => {
      const orders = fleet.nodes.get("orders/1")!;
      expect(await run.drive(fleet, 40)).toEqual({ OK: 40 });
      expect(run.instances()).toEqual(["orders/0", "orders/1"]);

      await orders.kill();
      expect(orders.state).toBe("killed");
      expect(run.gaps).toEqual(["orders/1"]);
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });
      await orders.restart();
      expect(orders.state).toBe("running");
      await fleet.clock.sleep(300_000);
      expect(await run.drive(fleet, 40)).toEqual({ OK: 40 });
      expect(run.instances()).toEqual(["orders/0", "orders/1"]);

      await orders.pause();
      // Its sockets stay open and nobody answers: until its session has run out, those who ask it run into their deadline.
      const paused = await run.drive(fleet, 20);
      expect(Object.keys(paused).sort()).toEqual(["DEADLINE_EXCEEDED", "OK"]);
      await orders.collect();
      expect(orders.state).toBe("paused");
      await orders.resume();
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });

      const stopped = orders.stop();
      expect(await run.drive(fleet, 60)).toEqual({ OK: 60 });
      await stopped;
      expect(orders.state).toBe("stopped");
      expect(await run.drive(fleet, 10)).toEqual({ OK: 10 });
      expect(run.instances()).toEqual(["orders/0"]);
    });
    expect(run.exits).toEqual([]);
  },

  "faults on a link touch that link only, and the rules reach the fleet past all of them": async (world) => {
    const key = "orders.tag-router";
    const plan = smallPlan([
      { from: "shop/0", to: "orders/1" },
      { from: "shop/0", to: "registry/0" },
    ]);
    const run = observed();
    await world.run(plan, run.options, async (fleet) => {
      const link = fleet.link("shop/0", "orders/1");
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });

      await link.shape({ latency: { addUs: 30_000, jitterUs: 0, distribution: "uniform" } });
      await run.drive(fleet, 40);
      expect(run.attemptMs("orders/1")).toBeGreaterThanOrEqual(60);
      expect(run.attemptMs("orders/0")).toBeLessThan(55);

      await link.shape({ isRefusing: true });
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });
      expect(run.outcomes("orders/1")).toEqual(["UNAVAILABLE"]);

      await link.shape({});
      // The registry's link is cut: who is known stays known, and documents take another way.
      await fleet.link("shop/0", "registry/0").shape({ cut: "both" });
      await fleet.publish(key, "force: false\ntags: []\n");
      await run.until(({ type }) => type === "rule");
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });

      expect(() => fleet.link("orders/0", "orders/1")).toThrow("no fault of the plan named it");
    });
  },

  "a node off the network is silent, not dead, and is reached again at the same address": async (world) => {
    const plan = smallPlan();
    const cables = ["shop/0", "registry/0", "config-center/0"].flatMap((other) => [
      other === "shop/0" ? { from: other, to: "orders/1" } : { from: "orders/1", to: other },
    ]);
    const [step] = plan.timeline;
    const unplugging = {
      ...step!,
      what: {
        kind: "fault",
        fault: { kind: "disconnect", target: "orders/1" },
        forUs: 1,
        nodes: ["orders/1"],
        links: [],
        cables,
      },
    } as const;
    const run = observed();
    await world.run({ ...plan, timeline: [unplugging] }, run.options, async (fleet) => {
      const orders = fleet.nodes.get("orders/1")!;
      expect(await run.drive(fleet, 20)).toEqual({ OK: 20 });
      await orders.disconnect();
      expect(Object.keys(await run.drive(fleet, 20)).sort()).toEqual(["DEADLINE_EXCEEDED", "OK"]);
      expect(run.outcomes("orders/1")).toEqual(["DEADLINE_EXCEEDED"]);
      // The harness reaches it all the same.
      await orders.collect();
      expect(orders.state).toBe("running");
      await orders.reconnect();
      const untilUs = fleet.clock.nowUs() + 10_000_000;
      do await run.drive(fleet, 20);
      while (!run.outcomes("orders/1").includes("OK") && fleet.clock.nowUs() < untilUs);
      expect(run.outcomes("orders/1")).toContain("OK");
    });
    expect(run.exits).toEqual([]);
  },

  "rules are there before the first call": async (world) => {
    const run = observed();
    const rules = [{ key: "orders.tag-router", content: "force: false\ntags: []\n" }];
    await world.run(smallPlan([], { rules }), run.options, async () => run.until(({ type }) => type === "rule"));
    expect(run.events.find(({ type }) => type === "rule")).toMatchObject({ outcome: "applied", version: 1 });
  },

  "a node that can't start is named with its reason": async (world) => {
    const run = observed();
    const plan = smallPlan();
    const broken: Plan = {
      ...plan,
      nodes: plan.nodes.map((node) =>
        node.id === "orders/1" ? { ...node, config: { service: "orders", weigth: 5 } } : node,
      ),
    };
    const started = world.run(broken, run.options, async () => expect.unreachable());
    await expect(started).rejects.toMatchObject({
      name: "WorldError",
      code: "NOT_READY",
      message: "node orders/1: there is no key weigth",
      hint: 'did you mean "weight"?',
    });
    expect(run.exits).toEqual([]);
  },
};

/** Keeps what a fleet reports, and drives its consumer. */
export function observed(
  signal = new AbortController().signal,
  onProgress: (message: string) => void = () => undefined,
) {
  const exits: string[] = [];
  const gaps: string[] = [];
  let events: RuntimeEvent[] = [];
  let onMore = (): void => undefined;
  const options: WorldOptions = {
    onEvents: (_node, more) => {
      events.push(...more);
      onMore();
    },
    onGap: (node, fromUs, toUs) => {
      expect(toUs).toBeGreaterThanOrEqual(fromUs);
      gaps.push(node);
    },
    onExit: (node, _atUs, { how }) => exits.push(`${node}: ${how}`),
    onProgress,
    signal,
  };
  const ends = (): CallEnd[] => events.filter((event): event is CallEnd => event.type === "call.end").filter(isOrders);
  const attemptsOf = (instance: string) =>
    ends().flatMap(({ attempts }) => attempts.filter((attempt) => attempt.instance === instance));

  return {
    options,
    exits,
    gaps,
    get events() {
      return events;
    },
    /** Calls 5 ms apart; answers how many ended how. */
    async drive(fleet: RunningFleet, calls: number): Promise<Record<string, number>> {
      const shop = fleet.nodes.get("shop/0")!;
      events = [];
      const dueUs = Array.from({ length: calls }, (_, index) => index * 5_000);
      await shop.drive({ startUs: fleet.clock.nowUs() + 10_000, dueUs, isWarmUp: false });
      await shop.collect();
      const codes: Record<string, number> = {};
      for (const { code } of ends()) codes[code] = (codes[code] ?? 0) + 1;
      return codes;
    },
    instances: () => [...new Set(ends().flatMap(({ attempts }) => attempts.map(({ instance }) => instance)))].sort(),
    outcomes: (instance: string) => [...new Set(attemptsOf(instance).map(({ code }) => code))],
    /** The fastest attempt. */
    attemptMs: (instance: string) =>
      Math.min(...attemptsOf(instance).map(({ beginUs, endUs }) => (endUs - beginUs) / 1000)),
    until: (wanted: (event: RuntimeEvent) => boolean) =>
      new Promise<void>((resolve) => {
        onMore = () => {
          if (events.some(wanted)) resolve();
        };
        onMore();
      }),
  };
}
