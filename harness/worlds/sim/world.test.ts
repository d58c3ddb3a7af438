import { execFileSync } from "node:child_process";

import { afterEach, expect, test, vi } from "vitest";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { nodeHost } from "../../cli/host.ts";
import { at, consumer, constant, poisson, provider, scenario, successRate } from "../../scenario/builders.ts";
import type { Plan } from "../../scenario/plan.ts";
import { planScenario } from "../../scenario/planner.ts";
import type { RunningFleet, Sabotage, World } from "../world.ts";
import { firstDifference, Recording } from "./recording.ts";
import { simWorld } from "./world.ts";

const host = await nodeHost();
const world = simWorld({ host });
const second = 1_000_000;

const text = { en: "A fleet", zh: "一个集群" };
const fleet = {
  storefront: consumer({ instances: 2, calls: "orders", timeout: "1s" }),
  orders: provider({ instances: 3, serviceTime: { exponential: { mean: "5ms" } } }),
};
const plain = scenario({
  name: "plain",
  title: text,
  explanation: text,
  fleet,
  load: poisson("100/s").on("storefront").for("8s"),
  timeline: [at("1s").latency({ from: "storefront", to: "orders/1" }, { add: "20ms", jitter: "5ms", for: "1s" })],
  expect: [successRate("orders").atLeast("99%").detects("90%")],
});
const plan = (seed = 1): Plan => planScenario(plain, { world: "sim", seed });

interface Run<T> {
  readonly value: T;
  readonly digest: string;
  readonly events: Map<string, RuntimeEvent[]>;
  readonly exits: string[];
}

/** Runs `main` on the fleet, and answers everything that was heard of it. */
async function run<T>(
  main: (fleet: RunningFleet) => Promise<T>,
  options: { plan?: Plan; sabotage?: Sabotage; world?: World; signal?: AbortSignal } = {},
): Promise<Run<T>> {
  const events = new Map<string, RuntimeEvent[]>();
  const exits: string[] = [];
  let digest = "";
  const value = await (options.world ?? world).run(
    options.plan ?? plan(),
    {
      onEvents: (node, batch) => events.set(node, [...(events.get(node) ?? []), ...batch]),
      onGap: () => undefined,
      onExit: (node, _atUs, { how }) => exits.push(`${node}: ${how}`),
      onProgress: () => undefined,
      signal: options.signal ?? new AbortController().signal,
      sabotage: options.sabotage,
    },
    async (running) => {
      const answer = await main(running);
      await Promise.all([...running.nodes.values()].map((node) => node.collect()));
      digest = running.digest!();
      return answer;
    },
  );
  return { value, digest, events, exits };
}

/** Every planned call of the plan, from now on. */
async function load(running: RunningFleet, of = plan()): Promise<void> {
  const startUs = running.clock.nowUs() + 1_000;
  await Promise.all(
    of.drives.map(({ node, dueUs }) => running.nodes.get(node)!.drive({ startUs, dueUs, isWarmUp: false })),
  );
}

/** Outcomes of the consumers' calls of the orders, by when they ended. */
function outcomes({ events }: Run<unknown>): { atUs: number; code: string; instances: string[] }[] {
  return [...events].flatMap(([node, own]) =>
    node.startsWith("storefront")
      ? own
          .filter((event) => event.type === "call.end")
          .filter(({ attempts }) => attempts.length === 0 || attempts[0]!.instance.startsWith("orders/"))
          .map(({ atUs, code, attempts }) => ({ atUs, code, instances: attempts.map(({ instance }) => instance) }))
      : [],
  );
}

const failed = (heard: Run<unknown>): number => outcomes(heard).filter(({ code }) => code !== "OK").length;

afterEach(() => {
  vi.restoreAllMocks();
});

test("a fleet gets ready, and every planned call ends OK", async () => {
  const heard = await run(load);
  const planned = plan().drives.reduce((sum, { dueUs }) => sum + dueUs.length, 0);
  expect(outcomes(heard).length).toBe(planned);
  expect(failed(heard)).toBe(0);
  expect(heard.exits).toEqual([]);
});

// What https://github.com/Shopify/toxiproxy/issues/274 asks for.
test("one seed is one digest, another seed another one", async () => {
  const first = await run(load);
  const second = await run(load);
  expect(first.digest).toMatch(/^[0-9a-f]{16}$/);
  expect(second.digest).toBe(first.digest);
  expect(second.events).toEqual(first.events);
  expect((await run((running) => load(running, plan(2)), { plan: plan(2) })).digest).not.toBe(first.digest);
});

test("a host without a synchronous drain gets the same digest", async () => {
  const short = async (running: RunningFleet): Promise<void> => {
    await running.nodes.get("storefront/0")!.drive({ startUs: second, dueUs: [0, 10, 20_000], isWarmUp: false });
  };
  const slow = simWorld({ host: { enter: host.enter, nowMs: host.nowMs } });
  expect((await run(short, { world: slow })).digest).toBe((await run(short)).digest);
});

test("another process gets the same digest", async () => {
  const script = `
    import { nodeHost } from "./harness/cli/host.ts";
    import { planScenario } from "./harness/scenario/planner.ts";
    import { simWorld } from "./harness/worlds/sim/world.ts";
    const plan = planScenario(${JSON.stringify(plain)}, { world: "sim", seed: 1 });
    const none = () => undefined;
    const options = { onEvents: none, onGap: none, onExit: none, onProgress: none, signal: new AbortController().signal };
    await simWorld({ host: await nodeHost() }).run(plan, options, async (fleet) => {
      const startUs = fleet.clock.nowUs() + 1000;
      await Promise.all(plan.drives.map(({ node, dueUs }) => fleet.nodes.get(node).drive({ startUs, dueUs, isWarmUp: false })));
      console.log(fleet.digest());
    });`;
  const other = execFileSync(process.execPath, ["--input-type=module-typescript", "-e", script], { encoding: "utf8" });
  expect(other.trim()).toBe((await run(load)).digest);
});

test("a run asks neither the real clock nor the engine's dice", async () => {
  const digest = (await run(load)).digest;
  const forbidden = (): never => {
    throw new Error("not in a simulation");
  };
  vi.spyOn(Math, "random").mockImplementation(forbidden);
  vi.spyOn(Date, "now").mockImplementation(forbidden);
  expect((await run(load)).digest).toBe(digest);
});

test("names the first event in which two runs differ, and finds none between equal ones", async () => {
  const record = async (sabotage?: Sabotage): Promise<Recording> => {
    const recording = new Recording();
    await run(load, { world: simWorld({ host, record: () => recording }), ...(sabotage && { sabotage }) });
    return recording;
  };
  const healthy = await record();
  expect(firstDifference(healthy, await record())).toBeUndefined();
  const dice: Sabotage = {
    ports: (node, context) =>
      node === "orders/1"
        ? { ...context, work: (us) => context.work(us + 1 + Math.floor(Math.random() * 9)) }
        : context,
  };
  const difference = firstDifference(healthy, await record(dice));
  expect(difference?.second?.node).toBeDefined();
  expect(difference?.first).not.toEqual(difference?.second);
});

test("a killed node gets no more calls once its session is over, and calls again after its restart", async () => {
  const heard = await run(async (running) => {
    const loaded = load(running);
    const node = running.nodes.get("orders/1")!;
    await running.clock.sleep(second);
    await node.kill();
    expect(node.state).toBe("killed");
    const killedUs = running.clock.nowUs();
    await running.clock.sleep(4 * second);
    await node.restart();
    expect(node.state).toBe("running");
    const backUs = running.clock.nowUs();
    await loaded;
    return { killedUs, backUs };
  });
  const { killedUs, backUs } = heard.value;
  const served = outcomes(heard).filter(({ code, instances }) => code === "OK" && instances.at(-1) === "orders/1");
  expect(served.some(({ atUs }) => atUs > killedUs + 1_000 && atUs < backUs)).toBe(false);
  expect(served.some(({ atUs }) => atUs > backUs)).toBe(true);
  expect(heard.exits).toEqual([]);
});

test("a graceful stop fails no call", async () => {
  const heard = await run(async (running) => {
    const loaded = load(running);
    await running.clock.sleep(second);
    const node = running.nodes.get("orders/1")!;
    await node.stop();
    expect(node.state).toBe("stopped");
    await loaded;
  });
  expect(failed(heard)).toBe(0);
  const stopped = heard.events.get("orders/1")!.filter((event) => event.type === "node");
  expect(stopped.map(({ phase }) => phase)).toContain("deregistered");
});

test("a paused node answers nothing until it goes on; a slow one takes its time", async () => {
  const one = scenario({
    name: "one",
    title: text,
    explanation: text,
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", retries: 0 }),
      orders: provider({ instances: 1, serviceTime: "10ms" }),
    },
    load: constant("100/s").on("storefront").for("8s"),
    timeline: [],
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  });
  const own = planScenario(one, { world: "sim", seed: 1 });
  const heard = await run(
    async (running) => {
      const { clock } = running;
      const caller = running.nodes.get("storefront/0")!;
      const node = running.nodes.get("orders/0")!;
      const timed = async (): Promise<number> => {
        const startUs = clock.nowUs();
        await caller.drive({ startUs, dueUs: [0], isWarmUp: false });
        return clock.nowUs() - startUs;
      };
      // The first call makes the connection.
      await timed();
      const usual = await timed();
      await node.slow(10);
      const slow = await timed();
      await node.slow(1);
      await node.pause();
      expect(node.state).toBe("paused");
      clock.after(300_000, () => void node.resume());
      const paused = await timed();
      return { usual, slow, paused };
    },
    { plan: own },
  );
  const { usual, slow, paused } = heard.value;
  expect(slow - usual).toBe(90_000);
  expect(paused).toBeGreaterThanOrEqual(300_000);
  expect(paused).toBeLessThan(300_000 + 2 * usual);
  expect(failed(heard)).toBe(0);
});

test("a node that is frozen while it is brought back keeps nobody waiting for ever", async () => {
  const heard = await run(async ({ nodes, clock }) => {
    const node = nodes.get("orders/0")!;
    await node.kill();
    const restarted = node.restart().catch((error: unknown) => error);
    await clock.sleep(1_000);
    await node.pause();
    const beganUs = clock.nowUs();
    const error = await restarted;
    return { error, waitedUs: clock.nowUs() - beganUs, state: node.state };
  });
  expect(heard.value.error).toMatchObject({
    code: "NOT_READY",
    message: "node orders/0 didn't answer within 15 s",
  });
  expect(heard.value.waitedUs).toBeLessThan(30 * second);
  expect(heard.value.state).toBe("killed");
});

test("a sabotage replaces one node's policies or ports and nothing else", async () => {
  const everythingToOne: Sabotage = {
    policies: (node, policies) =>
      node !== "storefront/0"
        ? policies
        : {
            ...policies,
            balancers: {
              ...policies.balancers,
              "weighted-random": () => (endpoints) => ({ pick: () => endpoints.find(({ id }) => id === "orders/2") }),
            },
          },
  };
  const heard = await run(load, { sabotage: everythingToOne });
  const targets = (node: string): Set<string> =>
    new Set(
      outcomes({ ...heard, events: new Map([[node, heard.events.get(node)!]]) }).flatMap(({ instances }) => instances),
    );
  expect(targets("storefront/0")).toEqual(new Set(["orders/2"]));
  expect(targets("storefront/1").size).toBe(3);
});

test("a node that dies by itself is reported, and keeps the fleet from getting ready when it dies at its start", async () => {
  const dying: Sabotage = {
    ports: (node, context) => {
      if (node === "orders/1") {
        context.clock.after(2 * second, () => {
          throw new Error("a defect of the node");
        });
      }
      return context;
    },
  };
  const heard = await run(load, { sabotage: dying });
  expect(heard.exits.length).toBe(1);
  expect(heard.exits[0]).toMatch(/^orders\/1: .*a defect of the node/);

  const stillborn: Sabotage = {
    ports: (node, context) => {
      if (node === "orders/1") throw new Error("born dead");
      return context;
    },
  };
  await expect(run(load, { sabotage: stillborn })).rejects.toThrow("born dead");
});

test("an aborted run ends with the signal's reason", async () => {
  const abort = new AbortController();
  const reason = new Error("interrupted");
  setTimeout(() => abort.abort(reason), 20);
  const endless = run((running) => new Promise(() => void running.clock.sleep(second)), { signal: abort.signal });
  await expect(endless).rejects.toBe(reason);
});

test("documents of the plan are there when the fleet is ready; published ones take effect while it runs", async () => {
  const rule = (percent: number): string =>
    `configVersion: v1.0\nscope: service\nkey: orders\nenabled: true\nhashKey: user-id\nsplit:\n  - tag: v2\n    percent: ${percent}\n`;
  const canary = scenario({
    name: "canary",
    title: text,
    explanation: text,
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", key: { name: "user-id", count: 100 } }),
      orders: provider({
        groups: [
          { instances: 1, tag: "v1" },
          { instances: 1, tag: "v2" },
        ],
      }),
    },
    rules: { "orders.canary-router": rule(0) },
    load: constant("100/s").on("storefront").for("8s"),
    timeline: [],
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  });
  const own = planScenario(canary, { world: "sim", seed: 1 });
  const heard = await run(
    async (running) => {
      const loaded = load(running, own);
      await running.clock.sleep(4 * second);
      await running.publish("orders.canary-router", rule(100));
      const publishedUs = running.clock.nowUs();
      await loaded;
      return publishedUs;
    },
    { plan: own },
  );
  const calls = outcomes(heard);
  const before = calls.filter(({ atUs }) => atUs < heard.value);
  const after = calls.filter(({ atUs }) => atUs > heard.value + 10_000);
  expect(new Set(before.flatMap(({ instances }) => instances))).toEqual(new Set(["orders/0"]));
  expect(new Set(after.flatMap(({ instances }) => instances))).toEqual(new Set(["orders/1"]));
});
