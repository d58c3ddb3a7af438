import { expect, test } from "vitest";

import type { HistoryRecord } from "./history/record.ts";
import { at, consumer, poisson, provider, scenario, successRate } from "./scenario/builders.ts";
import { planScenario } from "./scenario/planner.ts";
import { playTimeline } from "./timeline.ts";
import type { FleetNode, RunningFleet } from "./worlds/world.ts";

const plan = planScenario(
  scenario({
    name: "pauses",
    title: { en: "Pauses", zh: "暂停" },
    explanation: { en: "Two providers pause.", zh: "两个提供者暂停。" },
    fleet: { shop: consumer({ instances: 1, calls: "orders" }), orders: provider({ instances: 2 }) },
    load: poisson("200/s").on("shop").for("4s"),
    timeline: [at("1s").pause("orders/0", { for: "1s" }), at("1s").pause("orders/1", { for: "1s" })],
    expect: [successRate("orders").atLeast("90%").detects("50%")],
  }),
  { world: "sim", seed: 1 },
);

/** A fleet that writes down what it is told; `answers` decides when, and whether, a node does it. */
function scripted(answers: { pause?: () => Promise<void>; resume?: (id: string) => Promise<void> }) {
  const told: string[] = [];
  const due: (() => void)[] = [];
  const node = (id: string) => ({
    state: "running",
    pause: async () => {
      told.push(`pause ${id}`);
      await answers.pause?.();
    },
    resume: async () => {
      told.push(`resume ${id}`);
      await answers.resume?.(id);
    },
  });
  const fleet = {
    clock: { nowUs: () => 0, after: (_delayUs: number, fn: () => void) => (due.push(fn), () => undefined) },
    nodes: new Map(["orders/0", "orders/1"].map((id) => [id, node(id) as unknown as FleetNode])),
  } as unknown as RunningFleet;
  const records: HistoryRecord[] = [];
  const timeline = playTimeline(plan, fleet, {
    originUs: 0,
    write: (record) => records.push(record),
    onCallEnd: () => () => undefined,
  });
  return { told, records, timeline, passTime: () => due.splice(0).forEach((fn) => fn()) };
}

test("healing waits for a fault that is just being applied, and then lifts it", async () => {
  let takeHold = (): void => undefined;
  const hold = new Promise<void>((resolve) => (takeHold = resolve));
  const { told, timeline, passTime } = scripted({ pause: () => hold });
  passTime();
  const healed = timeline.heal();
  takeHold();
  await healed;
  expect(told).toEqual(["pause orders/0", "pause orders/1", "resume orders/0", "resume orders/1"]);
});

test("a fault that can't be lifted keeps none of the others, and is told", async () => {
  const { told, records, timeline, passTime } = scripted({
    resume: (id) => (id === "orders/0" ? Promise.reject(new Error("gone")) : Promise.resolve()),
  });
  passTime();
  await expect(timeline.heal()).rejects.toThrow("gone");
  expect(told).toContain("resume orders/1");
  expect(records).toContainEqual(expect.objectContaining({ index: 0, phase: "failed", error: "gone" }));
});

test("a step that isn't due yet when the run is healed never happens", async () => {
  const { told, timeline, passTime } = scripted({});
  await timeline.heal();
  passTime();
  expect(told).toEqual([]);
});
