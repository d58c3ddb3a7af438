import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { runScenario } from "../run.ts";
import { at, constant, consumer, provider, scenario, successRate } from "../scenario/builders.ts";
import type { Plan } from "../scenario/plan.ts";
import { planScenario } from "../scenario/planner.ts";
import { turnsOf } from "../turn.ts";
import { localWorld } from "../worlds/local/world.ts";
import { isQuiet, roundsOf } from "./rounds.ts";

interface Sketch {
  readonly seconds?: number;
  readonly perSecond?: number;
  readonly instances?: number;
  readonly timeline?: Parameters<typeof scenario>[0]["timeline"];
}

const sketched = ({ seconds = 2, perSecond = 100, instances = 1, timeline = [] }: Sketch = {}) =>
  scenario({
    name: "sketch",
    title: { en: "A sketch", zh: "草图" },
    explanation: { en: "One calls another.", zh: "一个调用另一个。" },
    tags: [],
    fleet: { shop: consumer({ instances: 1, calls: "orders" }), orders: provider({ instances }) },
    load: constant(`${perSecond}/s`).on("shop").for(`${seconds}s`),
    timeline,
    expect: [successRate("orders").atLeast("99%").detects("50%")],
  });
const planned = (sketch?: Sketch, world: Plan["world"] = "local", registry?: Plan["registry"]): Plan =>
  planScenario(sketched(sketch), { world, seed: 1, registry });

describe("who leaves room for another run", () => {
  test("a load that keeps the machine idle, in real processes", () => {
    expect(isQuiet(planned(), 2)).toBe(true);
    expect(isQuiet(planned({}, "sim"), 2)).toBe(false);
  });

  test("the same in containers, unless there is more than our own programs", () => {
    const plan = planned({}, "docker");
    expect(isQuiet(plan, 2)).toBe(true);
    expect(isQuiet(planned({ perSecond: 400 }, "docker"), 2)).toBe(false);
    expect(isQuiet(planned({}, "docker", "nacos"), 2)).toBe(false);
    expect(isQuiet({ ...plan, isScraped: true }, 2)).toBe(false);
    expect(isQuiet({ ...plan, tracing: { sample: 1 } }, 2)).toBe(false);
    const [shop, ...others] = plan.nodes;
    const foreign = { image: "somebody/elses:1", command: [], environment: {} } as unknown as NonNullable<
      Plan["nodes"][number]["foreign"]
    >;
    expect(isQuiet({ ...plan, nodes: [{ ...shop!, foreign }, ...others] }, 2)).toBe(false);
  });

  test("nobody where there is one processor", () => {
    expect(isQuiet(planned(), 1)).toBe(false);
  });

  test.each<[string, Sketch]>([
    ["many calls", { perSecond: 400 }],
    ["many processes", { instances: 12 }],
    ["a fault that takes the processor", { timeline: [at("1s").slowCpu("orders/0", { share: 0.5, for: "500ms" })] }],
  ])("not with %s", (_, sketch) => {
    expect(isQuiet(planned(sketch), 8)).toBe(false);
  });
});

describe("rounds", () => {
  test("have everybody once, two at most, and whoever leaves no room is alone", () => {
    const quiet = fc.record({ seconds: fc.integer({ min: 2, max: 9 }) });
    const loud = fc.constant({ perSecond: 400 });
    fc.assert(
      fc.property(fc.array(fc.oneof(quiet, loud), { maxLength: 9 }), (sketches) => {
        const plans = sketches.map((sketch) => planned(sketch));
        const rounds = roundsOf(plans, (plan) => plan);
        expect(new Set(rounds.flat())).toEqual(new Set(plans));
        expect(rounds.flat()).toHaveLength(plans.length);
        for (const round of rounds) {
          expect(round.length).toBeLessThanOrEqual(2);
          if (round.length > 1) expect(round.every((plan) => isQuiet(plan))).toBe(true);
        }
        expect(rounds.filter(([plan, other]) => other === undefined && isQuiet(plan!)).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 30 },
    );
  });

  test("put loads of one length together", () => {
    const plans = [2, 8, 2, 8].map((seconds) => planned({ seconds }));
    expect(roundsOf(plans, (plan) => plan)).toEqual([
      [plans[0], plans[2]],
      [plans[1], plans[3]],
    ]);
  });

  test("put worlds together with themselves", () => {
    const plans = (["docker", "local", "docker", "local"] as const).map((world) => planned({}, world));
    expect(roundsOf(plans, (plan) => plan)).toEqual([
      [plans[0], plans[2]],
      [plans[1], plans[3]],
    ]);
  });

  test("what can't be planned is alone", () => {
    expect(roundsOf(["a", "b"], () => undefined)).toEqual([["a"], ["b"]]);
  });
});

describe("a round's runs", () => {
  test("wait for each other, and for nobody who has left", async () => {
    const [one, other] = turnsOf(2);
    const heard: string[] = [];
    void one!.begin().then(() => heard.push("one begins"));
    await Promise.resolve();
    expect(heard).toEqual([]);
    await other!.begin();
    expect(heard).toEqual(["one begins"]);
    const end = one!.end();
    other!.leave();
    await end;
  });

  test("start together, load together, and end when both are through", async () => {
    const world = localWorld();
    const phases: string[] = [];
    await Promise.all(
      turnsOf(2).map(async (turn, index) => {
        let last = "";
        const { result } = await runScenario(sketched({ seconds: 1 + index }), {
          world,
          seed: 1,
          turn,
          onProgress: ({ phase }) => {
            if (phase !== last) phases.push(phase);
            last = phase;
          },
        });
        expect(result.verdict).not.toBe("error");
      }),
    );
    expect(phases.indexOf("running")).toBeGreaterThan(phases.lastIndexOf("warming up"));
    expect(phases.indexOf("judging")).toBeGreaterThan(phases.lastIndexOf("draining"));
    expect(phases.filter((phase) => phase === "running")).toHaveLength(2);
  });
});
