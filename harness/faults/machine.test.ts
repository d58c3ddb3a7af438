import { describe, expect, test } from "vitest";

import { openWorld } from "../cli/worlds.ts";
import { runScenario } from "../run.ts";
import { planScenario } from "../scenario/planner.ts";
import { at, atomicity, bank, constant, consumer, nothingLeft, scenario } from "../scenario/builders.ts";
import type { Scenario } from "../scenario/schema.ts";
import { faultOf, idleWorld } from "./idle.fixture.ts";

/** Faults of the machine below a node that keeps what it does on its disk, in a small simulated bank. */
const bankWith = (timeline: Scenario["timeline"]): Scenario =>
  scenario({
    name: "sketch",
    title: { en: "Sketch", zh: "草图" },
    explanation: { en: "For a test.", zh: "用于测试。" },
    fleet: {
      buyer: consumer({ instances: 1, calls: "order", timeout: "2s", retries: 0, key: { name: "user", count: 20 } }),
      ...bank({ timeout: "1s", account: { serviceTime: "5ms" }, stock: { serviceTime: "5ms" } }),
    },
    coordinator: { retry: "200ms" },
    load: constant("20/s").on("buyer").for("3s"),
    timeline,
    expect: [atomicity("order").detects("60%"), nothingLeft("order").detects("60%")],
  });

const cases: readonly (readonly [kind: string, timeline: (target: string) => Scenario["timeline"]])[] = [
  ["disk-full", (target) => [at("1s").diskFull(target, { for: "500ms" })]],
  ["slow-disk", (target) => [at("1s").slowDisk(target, { delay: "60ms", for: "1s" })]],
  ["torn-write", (target) => [at("1s").tornWrite(target, { for: "500ms" })]],
  ["lost-unsynced", (target) => [at("1s").lostUnsynced(target, { for: "500ms" })]],
];

describe.each(cases)("%s", (kind, timeline) => {
  test.each(["coordinator", "stock"])(
    "of %s shows in what it does with its disk, and the bank stays whole",
    async (target) => {
      const played = await runScenario(bankWith(timeline(target)), { world: await openWorld("sim"), seed: 1 });
      expect(faultOf(played, kind)).toMatchObject({ effect: "confirmed" });
      expect(played.result.verdict).toBe("pass");
    },
  );

  test("isn't believed of a harness that does nothing", async () => {
    const { result } = await runScenario(bankWith(timeline("coordinator")), { world: await idleWorld(), seed: 1 });
    expect(faultOf({ result }, kind).effect).not.toBe("confirmed");
  });
});

test("no timeout of a transaction is moved by a clock that jumps", async () => {
  const timeline = [
    at("1s").clockStep("coordinator", { by: "60m" }),
    at("2s").clockStep("coordinator", { by: "-120m" }),
  ];
  const { result, history } = await runScenario(bankWith(timeline), { world: await openWorld("sim"), seed: 1 });
  expect(result.faults.map(({ effect }) => effect)).toEqual(["confirmed", "confirmed"]);
  expect(history.calls.filter(({ service, code }) => service === "order" && code !== "OK")).toEqual([]);
});

test("a coordinator that comes back to another time ends what it finds, and no transaction waits for hours", async () => {
  for (const by of ["60m", "-60m"]) {
    const timeline = [
      at("1s").kill("coordinator", { for: "500ms" }),
      at("2s").clockOffset("stock", { by, for: "500ms" }),
    ];
    const offset = [at("800ms").clockStep("coordinator", { by })];
    const { result } = await runScenario(bankWith([...offset, ...timeline]), {
      world: await openWorld("sim"),
      seed: 1,
    });
    expect({ by, verdict: result.verdict }).toEqual({ by, verdict: "pass" });
  }
});

test("a clock is put right though its node stands still until the end", async () => {
  const timeline = [at("1s").clockOffset("account", { by: "1m", for: "1s" }), at("1500ms").pause("account")];
  const { result } = await runScenario(bankWith(timeline), { world: await openWorld("sim"), seed: 1 });
  expect(result.faults.map(({ kind, effect }) => [kind, effect])).toContainEqual(["clock-offset", "confirmed"]);
});

test("nodes report what their machines do only where a fault of the timeline shows there", async () => {
  const world = await openWorld("sim");
  const without = await runScenario(bankWith([]), { world, seed: 1 });
  expect([without.history.disks, without.history.clocks]).toEqual([[], []]);
  const { history } = await runScenario(bankWith([at("1s").clockStep("order", { by: "10m" })]), { world, seed: 1 });
  expect(history.disks).toEqual([]);
  expect(new Set(history.clocks.map(({ node }) => node))).toContain("buyer/0");
});

const refused: readonly (readonly [string, Scenario["timeline"], RegExp])[] = [
  [
    "two faults of one disk",
    [at("1s").diskFull("stock", { for: "1s" }), at("1500ms").slowDisk("stock", { delay: "10ms", for: "500ms" })],
    /slow-disk stock\/0 at 1.5 s: "disk-full" has hold of it/,
  ],
  [
    "a write of somebody dead",
    [at("1s").tornWrite("stock"), at("2s").kill("stock")],
    /kill stock\/0 at 2 s: it is killed then/,
  ],
  ["a clock that is hardly wrong", [at("1s").clockStep("stock", { by: "-5ms" })], /wrong by -5ms/],
  ["a drift of nothing", [at("1s").clockDrift("stock", { rate: 0.01, for: "1s" })], /wrong by 10 ms in the end/],
  ["a disk no slower", [at("1s").slowDisk("stock", { delay: "0ms" })], /a delay of no time/],
];

test.each(refused)("%s is refused", (_, timeline, message) => {
  expect(() => planScenario(bankWith(timeline), { world: "sim", seed: 1 })).toThrow(message);
});

test.each([
  ["coordinator", "seata", "embedded", /a server of somebody else's/],
  ["stock", "seata", "embedded", /its rows are in PostgreSQL/],
  ["registry", "embedded", "zookeeper", /a server of somebody else's/],
] as const)("the disk of %s with %s and %s can't be broken", (target, coordinator, registry, message) => {
  const value = bankWith([at("1s").diskFull(target, { for: "1s" })]);
  expect(() => planScenario(value, { world: "docker", seed: 1, coordinator, registry })).toThrow(message);
});
