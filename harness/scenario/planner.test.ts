import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { programs } from "../../services/programs.ts";
import { faults } from "../faults/table.ts";
import type { Primitive } from "../worlds/world.ts";
import {
  at,
  bank,
  constant,
  consumer,
  gateway,
  poisson,
  provider,
  scenario,
  successRate,
  type ScenarioInput,
} from "./builders.ts";
import type { ScenarioError } from "./error.ts";
import { hashOf } from "./hash.ts";
import type { Plan } from "./plan.ts";
import { planScenario, type PlanOptions } from "./planner.ts";
import type { FaultSpec } from "./schema.ts";

const base: ScenarioInput = {
  name: "shop",
  title: { en: "Shop", zh: "商店" },
  explanation: { en: "A shop.", zh: "一家商店。" },
  fleet: {
    storefront: consumer({ instances: 2, calls: "orders", timeout: "400ms" }),
    orders: provider({ instances: 3, calls: "payments", retries: 2 }),
    payments: provider({
      groups: [
        { instances: 1, tag: "v1" },
        { instances: 1, tag: "v2", weight: 50 },
      ],
    }),
  },
  load: constant("200/s").on("storefront").for("8s"),
  expect: [successRate("orders").atLeast("99%").detects("90%")],
};

const plan = (more: Partial<ScenarioInput> = {}, options: Partial<PlanOptions> = {}): Plan =>
  planScenario(scenario({ ...base, ...more }), { world: "sim", seed: 1, ...options });

const nodeOf = ({ nodes }: Plan, id: string) => nodes.find((node) => node.id === id)!;

/** The shop beside a bank. */
const withBank = (settings: Parameters<typeof bank>[0] = {}, more: Partial<ScenarioInput> = {}): Plan =>
  plan({
    fleet: { ...base.fleet, buyer: consumer({ instances: 1, calls: "order" }), ...bank(settings) },
    load: [constant("200/s").on("storefront").for("8s"), constant("20/s").on("buyer").for("8s")],
    ...more,
  });

describe("a bank", () => {
  test("brings its coordinator, and what concerns all of it is said once", () => {
    const settings = { mode: "tcc", items: 7, timeout: "2s", abortRate: "20%", reserve: { timeout: "300ms" } } as const;
    const own = withBank({ ...settings, account: { initial: 5 } }, { coordinator: { retry: "200ms" } });
    expect(own.nodes.slice(0, 2).map(({ id }) => id)).toEqual(["registry/0", "coordinator/0"]);
    expect(nodeOf(own, "coordinator/0").config).toEqual({ retryMs: 200 });
    expect(nodeOf(own, "order/0").config).toEqual({
      ...{ service: "order", application: "order", mode: "tcc", items: 7, timeoutMs: 2000, abortRate: 0.2 },
      account: { service: "account", timeoutMs: 300 },
      stock: { service: "stock", timeoutMs: 300 },
    });
    expect(nodeOf(own, "account/0").config).toEqual({
      ...{ service: "account", application: "account", mode: "tcc", items: 7, initial: 5 },
    });
    for (const { program, config } of own.nodes) {
      const isInfrastructure = program === "registry" || program === "coordinator";
      const known = ["order", "account", "stock"].includes(program) ? { coordinator: "a:1" } : {};
      const whole = isInfrastructure ? config : { ...config, registry: "a:1", ...known };
      expect(() => programs.get(program)!.parse(whole)).not.toThrow();
    }
  });

  test("has time for what nobody ends but its timeout, and for a few tries", () => {
    expect(plan().settleUs).toBeUndefined();
    expect(plan().coordinator).toBeUndefined();
    expect(withBank().settleUs).toBe(81_000_000);
    expect(withBank({ timeout: "2s" }, { coordinator: { retry: "2s" } }).settleUs).toBe(28_000_000);
  });

  test("is coordinated by ours, or in docker by Seata", () => {
    expect(withBank().coordinator).toBe("embedded");
    const value = scenario({
      ...base,
      fleet: { buyer: consumer({ instances: 1, calls: "order" }), ...bank() },
      load: constant("200/s").on("buyer").for("8s"),
      expect: [successRate("order").atLeast("99%").detects("90%")],
    });
    const planIn = (world: "sim" | "local" | "docker") => planScenario(value, { world, seed: 1, coordinator: "seata" });
    expect(planIn("docker").coordinator).toBe("seata");
    for (const world of ["sim", "local"] as const) {
      expect(() => planIn(world)).toThrow(`world ${world} can't do "--coordinator seata"`);
    }
    const saga = { ...value, fleet: { ...value.fleet, ...bank({ mode: "saga" }) } };
    const cancels = { check: "tcc-fence", service: "account", shows: "duplicate-cancel", detects: "40%" } as const;
    const twice = { ...value, expect: [cancels] };
    for (const refused of [saga, twice]) {
      expect(() => planScenario(refused, { world: "docker", seed: 1, coordinator: "seata" })).toThrow(
        expect.objectContaining({ code: "UNSUPPORTED" }),
      );
      expect(() => planScenario(refused, { world: "docker", seed: 1 })).not.toThrow();
    }
  });

  test("has links to its coordinator, and each of its services one to whom it calls", () => {
    const links = (to: string) =>
      withBank({}, { timeline: [at("1s").blackhole(to)] }).timeline.flatMap(({ what }) =>
        what.kind === "fault" ? what.links.map(({ from }) => from) : [],
      );
    expect(links("coordinator")).toEqual(["order/0", "account/0", "stock/0"]);
    expect(links("stock")).toEqual(["order/0"]);
    expect(() => withBank({}, { timeline: [at("1s").blackhole({ from: "buyer", to: "coordinator" })] })).toThrow(
      "buyer never calls coordinator",
    );
  });

  describe("has a database", () => {
    const crash = scenario({
      ...base,
      fleet: { buyer: consumer({ instances: 1, calls: "order" }), ...bank() },
      load: constant("200/s").on("buyer").for("8s"),
      timeline: [at("1s").kill("database", { for: "1s" })],
      expect: [successRate("order").atLeast("99%").detects("90%")],
    });
    const nodesHit = ({ timeline }: Plan) => timeline.flatMap(({ what }) => (what.kind === "fault" ? what.nodes : []));

    test("that dies with the nodes on whose disks it is, or by itself where it is a PostgreSQL", () => {
      for (const world of ["sim", "local", "docker"] as const) {
        const own = planScenario(crash, { world, seed: 1 });
        expect(nodesHit(own)).toEqual(["account/0", "stock/0"]);
        expect(own.nodes.map(({ program }) => program)).not.toContain("database");
      }
      const real = planScenario(crash, { world: "docker", seed: 1, coordinator: "seata" });
      expect(nodesHit(real)).toEqual(["database/0"]);
      const quiet = planScenario({ ...crash, timeline: [] }, { world: "docker", seed: 1, coordinator: "seata" });
      expect(quiet.nodes.map(({ program }) => program)).not.toContain("database");
    });

    test("whose links are those of account and stock, and which nobody has a link to where it is on their disks", () => {
      const cut = { ...crash, timeline: [at("1s").partition("database", { for: "1s" })] };
      const { timeline } = planScenario(cut, { world: "docker", seed: 1, coordinator: "seata" });
      const links = timeline.flatMap(({ what }) => (what.kind === "fault" ? what.links : []));
      expect(links).toEqual(["account/0", "stock/0"].map((from) => ({ from, to: "database/0" })));
      expect(() => planScenario(cut, { world: "docker", seed: 1 })).toThrow(
        expect.objectContaining({ code: "UNSUPPORTED", hint: "--world docker --coordinator seata has a PostgreSQL" }),
      );
    });

    test("which can't be broken from inside where it is somebody else's", () => {
      for (const step of [
        at("1s").slow("database", { factor: 2, for: "1s" }),
        at("1s").diskFull("database", { for: "1s" }),
      ]) {
        const own = { ...crash, timeline: [step] };
        expect(nodesHit(planScenario(own, { world: "docker", seed: 1 }))).toEqual(["account/0", "stock/0"]);
        expect(() => planScenario(own, { world: "docker", seed: 1, coordinator: "seata" })).toThrow(
          "can't be done to database/0: it is a server of somebody else's",
        );
      }
    });
  });

  test("is one order, one account and one stock, called as what they are", () => {
    const { order, account, stock } = bank();
    const buyer = consumer({ instances: 1, calls: "order" });
    const fleetOf = (fleet: ScenarioInput["fleet"]) => () =>
      plan({
        fleet,
        load: constant("200/s").on("buyer").for("8s"),
        expect: [successRate("order").atLeast("99%").detects("90%")],
      });
    expect(fleetOf({ buyer, order, account })).toThrow('fleet.order.stock.service: "stock" is no stock of the fleet');
    expect(fleetOf({ buyer, order: { ...order, stock: { service: "account" } }, account, stock })).toThrow(
      'fleet.order.stock.service: "account" is no stock of the fleet',
    );
    expect(fleetOf({ buyer, order, other: order, account, stock })).toThrow(
      "fleet.account: two order services reserve there",
    );
    expect(fleetOf({ buyer: consumer({ instances: 1, calls: "account" }), order, account, stock })).toThrow(
      'fleet.buyer.calls.service: "account" is no provider of the fleet',
    );
    expect(fleetOf({ buyer, order, account, stock, coordinator: provider() })).toThrow(
      "fleet.coordinator: the infrastructure has this name",
    );
  });
});

describe("nodes", () => {
  test("are the infrastructure, then the fleet as it is written", () => {
    expect(plan().nodes.map(({ id }) => id)).toEqual([
      ...["registry/0", "storefront/0", "storefront/1"],
      ...["orders/0", "orders/1", "orders/2", "payments/0", "payments/1"],
    ]);
  });

  test("have a config centre where rules are, or where something happens to it", () => {
    const has = (more: Partial<ScenarioInput>): boolean => plan(more).nodes.some(({ id }) => id === "config-center/0");
    expect(has({})).toBe(false);
    expect(has({ rules: { "orders.tag-router": "enabled: true" } })).toBe(true);
    expect(has({ timeline: [at("1s").remove("orders.tag-router")] })).toBe(true);
    expect(has({ timeline: [at("1s").kill("config-center")] })).toBe(true);
    expect(has({ timeline: [at("1s").blackhole("config-center")] })).toBe(true);
    expect(has({ timeline: [at("1s").blackhole("registry")] })).toBe(false);
  });

  test("of groups differ, and take from the service what they don't say themselves", () => {
    const planned = plan();
    expect(nodeOf(planned, "payments/0")).toMatchObject({ tag: "v1", weight: 100 });
    expect(nodeOf(planned, "payments/1")).toMatchObject({ tag: "v2", weight: 50 });
    expect(nodeOf(planned, "payments/1").config).toMatchObject({ metadata: { "dubbo.tag": "v2" }, weight: 50 });
  });

  test("have configurations that their programs accept", () => {
    const planned = plan({
      registry: { sessionTimeout: "1500ms" },
      rules: { "orders.tag-router": "enabled: true" },
      fleet: {
        storefront: consumer({
          instances: 1,
          key: { name: "user", count: 5 },
          tag: "gray",
          calls: {
            ...{ service: "orders", timeout: "1s", attemptTimeout: "300ms", retries: 1, retryOn: ["INTERNAL"] },
            ...{ cluster: "failfast", balancer: "p2c" },
          },
        }),
        front: gateway({ instances: 1, calls: "orders", key: { name: "user", count: 5 } }),
        orders: provider({
          ...{ instances: 1, errorRate: "5%", capacity: 4, queueMax: 10, weight: 20, tag: "v1" },
          serviceTime: { pareto: { min: "1ms", shape: 2.5 } },
          calls: "payments",
        }),
        payments: provider({ serviceTime: { normal: { mean: "5ms", sd: "1ms" } } }),
      },
    });
    for (const { id, program, config } of planned.nodes) {
      // What the worlds add when they know the addresses.
      const isFleet = program !== "registry" && program !== "config-center";
      const addresses = isFleet ? { registry: "127.0.0.1:1", configCenter: "127.0.0.1:2" } : {};
      expect(() => programs.get(program)!.parse({ ...config, ...addresses }), id).not.toThrow();
      expect(JSON.parse(JSON.stringify(config)), id).toEqual(config);
    }
  });
});

describe("a load from outside", () => {
  test("makes gateways of the consumers, and changes nothing else", () => {
    const inside = plan({}, { world: "local" });
    const outside = plan({}, { world: "local", load: "k6" });
    expect(outside.load).toBe("k6");
    expect(outside.nodes.map(({ id, program }) => [id, program])).toEqual(
      inside.nodes.map(({ id, program }) => [id, program === "consumer" ? "gateway" : program]),
    );
    expect(outside.drives).toEqual(inside.drives);
    expect(outside.checks).toEqual(inside.checks);
    expect(outside.scenarioHash).toBe(inside.scenarioHash);
  });

  test("can't reach the nodes of sim", () => {
    expect(() => plan({}, { load: "k6" })).toThrow(/world sim can't do "--load k6"/);
  });
});

describe("drives", () => {
  test("come from gateways as from consumers, and a gateway may be without", () => {
    const fleet = (make: typeof consumer | typeof gateway) => ({
      ...base.fleet,
      storefront: make({ instances: 2, calls: "orders" }),
    });
    expect(plan({ fleet: fleet(gateway) }).drives).toEqual(plan({ fleet: fleet(consumer) }).drives);
    const silent = { ...base.fleet, front: gateway({ instances: 1, calls: "orders" }) };
    expect(plan({ fleet: silent }).drives).toEqual(plan().drives);
    expect(() => plan({ fleet: { ...base.fleet, front: consumer({ instances: 1, calls: "orders" }) } })).toThrow(
      /front is a consumer without a load/,
    );
  });

  test("are ascending due times within the load, whatever the seed, at the rate of the load", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.boolean(), (seed, isPoisson) => {
        const load = (isPoisson ? poisson : constant)("200/s").on("storefront").for("5s");
        const { drives, durationUs } = plan({ load }, { seed });
        expect(durationUs).toBe(5_000_000);
        expect(drives.map(({ node }) => node)).toEqual(["storefront/0", "storefront/1"]);
        for (const { dueUs } of drives) {
          expect(dueUs.every((due, i) => Number.isInteger(due) && due >= (dueUs[i - 1] ?? 0) && due < durationUs)).toBe(
            true,
          );
        }
        const total = drives.reduce((sum, { dueUs }) => sum + dueUs.length, 0);
        // 1,000 expected; a Poisson count strays by more than 7 of its standard deviations once in 10^11.
        expect(Math.abs(total - 1000)).toBeLessThanOrEqual(isPoisson ? 222 : 1);
      }),
      { numRuns: 30 },
    );
  });

  test("of a seed are the same each time, those of another seed differ", () => {
    const load = poisson("100/s").on("storefront").for("8s");
    expect(plan({ load }).drives).toEqual(plan({ load }).drives);
    expect(plan({ load }).drives).not.toEqual(plan({ load }, { seed: 2 }).drives);
  });

  test("of an instance don't change when the fleet's other parts do", () => {
    const load = poisson("100/s").on("storefront").for("8s");
    const timeline = [at("1s").kill("orders/1")];
    expect(plan({ load, timeline }).drives).toEqual(plan({ load }).drives);
  });

  test("of two loads on one consumer are merged, and the longest counts", () => {
    const load = [constant("100/s").on("storefront").for("8s"), constant("50/s").on("storefront").for("9s")];
    const { drives, durationUs } = plan({ load });
    expect(durationUs).toBe(9_000_000);
    expect(drives.reduce((sum, { dueUs }) => sum + dueUs.length, 0)).toBe(800 + 450);
    for (const { dueUs } of drives) expect(dueUs).toEqual(dueUs.toSorted((a, b) => a - b));
  });
});

describe("the timeline", () => {
  test("is in the order of time, steps of one moment in that of the file, and numbered", () => {
    const { timeline } = plan({
      timeline: [at("3s").reset("orders/0"), at("1s").kill("orders/1"), at("3s").slow("orders/2", { factor: 2 })],
    });
    expect(timeline.map(({ index, atUs, what }) => [index, atUs, what.kind === "fault" && what.fault.kind])).toEqual([
      [0, 1_000_000, "kill"],
      [1, 3_000_000, "reset"],
      [2, 3_000_000, "slow"],
    ]);
  });

  const links = (link: Parameters<ReturnType<typeof at>["blackhole"]>[0]): readonly string[] => {
    const { what } = plan({ timeline: [at("1s").blackhole(link)] }).timeline[0]!;
    return what.kind === "fault" ? what.links.map(({ from, to }) => `${from} ${to}`) : [];
  };

  test("means by a link every connection between its two ends", () => {
    expect(links({ from: "storefront", to: "orders/1" })).toEqual(["storefront/0 orders/1", "storefront/1 orders/1"]);
    expect(links({ from: "orders/0", to: "payments" })).toEqual(["orders/0 payments/0", "orders/0 payments/1"]);
  });

  test("means by a callee alone the connections of all its callers", () => {
    expect(links("orders/1")).toEqual(["storefront/0 orders/1", "storefront/1 orders/1"]);
    expect(links("registry")).toHaveLength(7);
    // Only who calls others reads rules about calls.
    expect(links("config-center")).toHaveLength(5);
  });
});

describe("what can't work is refused with a way out", () => {
  const refused: readonly [string, Partial<ScenarioInput>, string, string?][] = [
    [
      "a check that goes on after the load",
      { expect: [successRate("orders").atLeast("99%").detects("90%").during("3s..30s")] },
      "expect.0.during ends at 30 s, but the load ends after 8 s",
    ],
    [
      "latency of no time",
      { timeline: [at("1s").latency("orders", { add: "0ms" })] },
      "timeline.0: a delay of no time",
      "200ms",
    ],
    ["a node that isn't there", { timeline: [at("1s").kill("ordrs")] }, "there is no node ordrs", 'mean "orders"?'],
    ["an instance too many", { timeline: [at("1s").kill("orders/3")] }, "orders has orders/0, orders/1, orders/2"],
    [
      "a link against the direction of the calls",
      { timeline: [at("1s").blackhole({ from: "orders", to: "storefront" })] },
      "orders never calls storefront",
      'from "storefront" to "orders"',
    ],
    ["a link that nobody uses", { timeline: [at("1s").blackhole("storefront")] }, "nobody calls storefront"],
    [
      "more parts than a price has",
      {
        fleet: {
          ...base.fleet,
          buyer: consumer({ instances: 1, calls: "order" }),
          ...bank({ mode: "at", instalments: 11 }),
        },
        load: [constant("200/s").on("storefront").for("8s"), constant("20/s").on("buyer").for("8s")],
      },
      "fleet.order.instalments: a price of 10 can't be paid in 11 parts",
      "raise fleet.order.price",
    ],
    ["a fault after the load", { timeline: [at("8s").kill("orders/1")] }, "the load ends after 8 s"],
    ["a fault that outlasts it", { timeline: [at("5s").kill("orders/1", { for: "4s" })] }, "lasts until 9 s"],
    ["a fault of no length", { timeline: [at("5s").kill("orders/1", { for: "0s" })] }, "lasts for no time"],
    [
      "a pause of a dead node",
      { timeline: [at("1s").kill("orders/1", { for: "3s" }), at("2s").pause("orders/1", { for: "1s" })] },
      "pause orders/1 at 2 s: it is killed then, from 1 s until 4 s",
    ],
    [
      "a restart of what starts again by itself",
      { timeline: [at("1s").kill("orders", { for: "3s" }), at("2s").restart("orders/1")] },
      "restart orders/1 at 2 s: it is killed then",
    ],
    [
      "slow and slow again",
      { timeline: [at("1s").slow("orders/1", { factor: 2 }), at("2s").slow("orders/1", { factor: 3 })] },
      "it is slow then already",
    ],
    [
      "an unknown callee",
      { fleet: { ...base.fleet, orders: provider({ calls: "payment" }) } },
      "is no provider",
      'mean "payments"?',
    ],
    [
      "an unknown balancer",
      { fleet: { ...base.fleet, orders: provider({ calls: "payments", balancer: "p3c" }) } },
      '"p3c" is no balancer',
      'did you mean "p2c"?',
    ],
    [
      "calls in a circle",
      { fleet: { ...base.fleet, payments: provider({ calls: "orders" }) } },
      "calls go round in circles",
    ],
    [
      "groups that don't add up",
      { fleet: { ...base.fleet, payments: provider({ instances: 3, groups: [{ instances: 1 }] }) } },
      "3 instances, but its groups have 1",
    ],
    [
      "a billion nodes",
      { fleet: { ...base.fleet, orders: provider({ instances: 1e9, calls: "payments" }) } },
      "nodes, and a fleet has at most 100000",
      "fewer instances of orders",
    ],
    [
      "a billion calls",
      { load: constant("125000000/s").on("storefront").for("8s") },
      "the load makes 1000000000 calls",
    ],
    ["a load for years", { load: constant("1/m").on("storefront").for("9999999m") }, "a load for 9999999m"],
    [
      "work that takes two times at once",
      { fleet: { ...base.fleet, payments: provider({ serviceTime: "1ms", own: { file: "./mine.ts" } }) } },
      "as long as ./mine.ts takes",
    ],
    [
      "a second callee of what calls only one",
      { fleet: { ...base.fleet, payments: provider({ alsoCalls: [{ service: "stock" }] }), stock: provider() } },
      "has no module of your own that could call several services",
    ],
    [
      "a second callee that isn't there",
      { fleet: { ...base.fleet, payments: provider({ own: { file: "./m.ts" }, alsoCalls: [{ service: "ordrs" }] }) } },
      '"ordrs" is no provider',
    ],
    [
      "a program that is two",
      {
        fleet: {
          ...base.fleet,
          payments: provider({ own: { file: "./mine.ts" }, groups: [{ instances: 1, foreign: { image: "mine" } }] }),
        },
      },
      "a foreign program and a module of your own at once",
    ],
    ["a load on a provider", { load: constant("1/s").on("orders").for("1s") }, "is no consumer of the fleet"],
    [
      "a consumer without a load",
      { fleet: { ...base.fleet, idle: consumer({ instances: 1, calls: "orders" }) } },
      "without a load",
    ],
    ["a load without calls", { load: constant("0/s").on("storefront").for("8s") }, "makes no call at all"],
    [
      "a check of a service that nobody calls",
      { expect: [successRate("storefront").atLeast("99%").detects("90%")] },
      "is no service that is called",
    ],
    [
      "a check of a time after the load",
      { expect: [successRate("orders").atLeast("99%").detects("90%").during("9s..10s")] },
      "begins at 9 s, but the load ends after 8 s",
    ],
  ];

  test.each(refused)("%s", (_name, more, message, hint) => {
    let thrown: unknown;
    try {
      plan(more);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: "ScenarioError", message: expect.stringContaining(message) as string });
    if (hint !== undefined) expect((thrown as { hint?: string }).hint).toContain(hint);
  });

  test.each<[string, Partial<ScenarioInput>, string]>([
    ["a target", { timeline: [at("1s").kill("ordrs")] }, "timeline.0.fault.target"],
    ["an action's target", { timeline: [at("1s").restart("ordrs")] }, "timeline.0.action.target"],
    ["a caller", { timeline: [at("1s").blackhole({ from: "shop", to: "orders" })] }, "timeline.0.fault.link.from"],
    ["a callee", { timeline: [at("1s").blackhole({ to: "ordrs" })] }, "timeline.0.fault.link.to"],
    ["a pair", { timeline: [at("1s").blackhole({ from: "orders", to: "storefront" })] }, "timeline.0.fault.link"],
    ["a moment", { timeline: [at("8s").kill("orders/1")] }, "timeline.0.at"],
    ["a length", { timeline: [at("5s").kill("orders/1", { for: "4s" })] }, "timeline.0.fault.for"],
    [
      "a window",
      { expect: [successRate("orders").atLeast("99%").detects("90%").outside("5s..3s")] },
      "expect.0.outside",
    ],
  ])("%s is told where it stands", (_name, more, path) => {
    let thrown: unknown;
    try {
      plan(more);
    } catch (error) {
      thrown = error;
    }
    expect((thrown as ScenarioError).path?.join(".")).toBe(path);
  });

  test("a fault that the world can't do, at plan time and never later", () => {
    const timeline = [at("1s").loss("orders", { probability: "5%" })];
    const primitives = new Set<Primitive>(["node.kill", "link.cut"]);
    expect(() => plan({ timeline }, { primitives })).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED", message: `world sim can't do "loss": it has no link.loss` }),
    );
    expect(() => plan({ timeline }, { primitives: new Set(["link.loss"]) })).not.toThrow();
  });
});

test("a session with a real ZooKeeper is ended from its client's side; other real registries can't be made to do that", () => {
  const timeline = [at("1s").sessionExpiry("orders/1")];
  const stepOf = (options: Parameters<typeof plan>[1]): unknown => plan({ timeline }, options).timeline[0]!.what;
  expect(stepOf({ world: "docker", registry: "zookeeper" })).toMatchObject({ isRegistryForeign: true });
  expect(stepOf({ world: "docker", registry: "embedded" })).not.toHaveProperty("isRegistryForeign");
  for (const registry of ["nacos", "consul"] as const)
    expect(() => stepOf({ world: "docker", registry })).toThrow(`can't be done to a real ${registry}`);
  const late = [at("1s").outOfOrderRule("orders.condition-router", { content: "" })];
  expect(() => plan({ timeline: late }, { world: "docker", registry: "zookeeper" })).toThrow(
    "can't be done to a real zookeeper",
  );
});

test("a rule that came out of order is told at one moment, and may be published anew afterwards", () => {
  const key = "orders.condition-router";
  const content = "force: false\nruntime: true\nconditions: []\n";
  const timeline = [at("1s").outOfOrderRule(key, { content }), at("3s").publish(key, content)];
  expect(plan({ timeline }).timeline).toHaveLength(2);
});

test("steps that follow each other on one node are no contradiction", () => {
  const timeline = [
    at("1s").kill("orders/1", { for: "1s" }),
    at("2s").pause("orders/1", { for: "1s" }),
    at("3s").stop("orders/1"),
    at("4s").restart("orders/1"),
    at("5s").kill("orders/1"),
    at("6s").restart("orders/1"),
    at("7s").restart("orders/1"),
  ];
  expect(plan({ timeline }).timeline).toHaveLength(7);
});

test("a module of the user's own may call several services, and each link to them can be broken", () => {
  const fleet = {
    storefront: consumer({ instances: 1, calls: "orders" }),
    orders: provider({
      own: { file: "./mine.ts" },
      calls: "payments",
      timeout: "1s",
      alsoCalls: [{ service: "stock", timeout: "3s" }],
    }),
    payments: provider(),
    stock: provider(),
  };
  const { timeline, drainUs, nodes } = plan({ fleet, timeline: [at("1s").blackhole("stock", { for: "1s" })] });
  expect(timeline[0]!.what).toMatchObject({ links: [{ from: "orders/0", to: "stock/0" }] });
  expect(drainUs).toBeGreaterThan(3_000_000);
  const { config } = nodes.find(({ id }) => id === "orders/0")!;
  expect(programs.get("provider")!.parse({ ...config, registry: "127.0.0.1:1" })).toMatchObject({
    calls: { service: "payments", timeoutMs: 1000 },
    alsoCalls: [{ service: "stock", timeoutMs: 3000 }],
    own: { file: "./mine.ts" },
  });
});

test("a module of the user's own is named from where the scenario's file is", () => {
  const fileOf = (file: string): unknown => {
    const fleet = { ...base.fleet, payments: provider({ own: { file } }) };
    const { nodes } = plan({ fleet }, { directory: "/home/me" });
    return nodes.find(({ id }) => id === "payments/0")!.config["own"];
  };
  expect(fileOf("./mine.ts")).toEqual({ file: "/home/me/mine.ts" });
  expect(fileOf("/srv/mine.ts")).toEqual({ file: "/srv/mine.ts" });
});

test("a world that offers a fault's primitives can do it, whatever the fault", () => {
  for (const kind of Object.keys(faults) as FaultSpec["kind"][]) expect(faults[kind].primitives).not.toHaveLength(0);
});

test("calls may go on for as long as the longest of them, and a margin", () => {
  // orders calls payments with the default of a second.
  expect(plan().drainUs).toBe(2_000_000);
});

test("a plan is data: it survives JSON", () => {
  const planned = plan({ timeline: [at("1s").latency("orders", { add: "50ms", for: "1s" })] });
  expect(JSON.parse(JSON.stringify(planned))).toEqual(planned);
});

test("a scenario's hash names its value: not the order of its keys, and every change of it", () => {
  expect(hashOf({ a: 1, b: [1, { c: "x", d: null }] })).toBe(hashOf({ b: [1, { d: null, c: "x" }], a: 1 }));
  expect(hashOf({ a: [1, 2] })).not.toBe(hashOf({ a: [2, 1] }));
  expect(plan().scenarioHash).toBe(plan({}, { seed: 9, world: "local" }).scenarioHash);
  expect(plan().scenarioHash).not.toBe(plan({ timeline: [at("1s").kill("orders/1")] }).scenarioHash);
  expect(plan().scenarioHash).toMatch(/^[0-9a-f]{32}$/);
});
