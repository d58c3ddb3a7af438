import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { runScenario } from "../run.ts";
import { at, constant, consumer, provider, scenario, successRate } from "../scenario/builders.ts";
import type { Plan } from "../scenario/plan.ts";
import { planScenario } from "../scenario/planner.ts";
import { turnsOf } from "../turn.ts";
import { localWorld } from "../worlds/local/world.ts";
import { roundsOf, roundSizeMax, shareOf } from "./rounds.ts";

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

const alone = 1;

describe("what a run takes of a round's room", () => {
  test("is what its busiest second or its processes take, in real processes and in containers", () => {
    for (const world of ["local", "docker"] as const) {
      expect(shareOf(planned({ perSecond: 165 }, world), 2)).toBeCloseTo(1 / 4);
      const wide = planned({ perSecond: 20, instances: 6 }, world);
      expect(shareOf(wide, 2)).toBeCloseTo(wide.nodes.length / 27);
    }
  });

  test("is all of it in sim, and where there is one processor", () => {
    expect(shareOf(planned({}, "sim"), 2)).toBe(alone);
    expect(shareOf(planned(), 1)).toBe(alone);
  });

  test.each<[string, Sketch]>([
    ["many calls", { perSecond: 400 }],
    ["many processes", { instances: 12 }],
    ["a fault that takes the processor", { timeline: [at("1s").slowCpu("orders/0", { share: 0.5, for: "500ms" })] }],
  ])("is all of it with %s", (_, sketch) => {
    expect(shareOf(planned(sketch), 8)).toBe(alone);
  });

  test("is all of it with calls from outside", () => {
    expect(shareOf({ ...planned(), load: "k6" }, 2)).toBe(alone);
  });

  test("is half of it for a bank, which waits for its disk", () => {
    const bank: Plan = { ...planned(), coordinator: "embedded" };
    expect(shareOf(bank, 2)).toBe(1 / 2);
    expect(shareOf({ ...bank, world: "docker", coordinator: "seata" }, 2)).toBe(1 / 2);
  });

  test("is no more around a real registry, unless that is started again during the load", () => {
    const harmed: Sketch = { timeline: [at("500ms").kill("registry", { for: "500ms" })] };
    const [ours, theirs] = (["embedded", "nacos"] as const).map((registry) => planned(harmed, "docker", registry));
    expect(shareOf(planned({}, "docker", "nacos"), 2)).toBeLessThan(alone / 2);
    expect(shareOf(ours!, 2)).toBeLessThan(alone / 2);
    expect(shareOf(theirs!, 2)).toBe(alone);
    const seata: Plan = { ...ours!, coordinator: "seata" };
    expect(shareOf(seata, 2)).toBe(1 / 2);
    for (const node of ["coordinator/0", "database/0"]) {
      const steps = [{ ...ours!.timeline[0]!, what: { ...ours!.timeline[0]!.what, nodes: [node] } }];
      expect(shareOf({ ...seata, timeline: steps }, 2)).toBe(alone);
    }
  });
});

describe("rounds", () => {
  test("have everybody once, and no more than there is room for", () => {
    const quiet = fc.record({
      seconds: fc.integer({ min: 2, max: 9 }),
      perSecond: fc.integer({ min: 20, max: 240 }),
      instances: fc.integer({ min: 1, max: 6 }),
    });
    const loud = fc.constant({ perSecond: 400 });
    fc.assert(
      fc.property(fc.array(fc.oneof(quiet, loud), { maxLength: 12 }), (sketches) => {
        const plans = sketches.map((sketch) => planned(sketch));
        const rounds = roundsOf(plans, (plan) => plan);
        expect(new Set(rounds.flat())).toEqual(new Set(plans));
        expect(rounds.flat()).toHaveLength(plans.length);
        const takenBy = (round: readonly Plan[]): number => round.reduce((sum, plan) => sum + shareOf(plan), 0);
        for (const round of rounds) {
          expect(round.length).toBeLessThanOrEqual(roundSizeMax);
          expect(takenBy(round)).toBeLessThanOrEqual(1);
        }
        // Nobody waits who would have fitted in before.
        for (const [index, round] of rounds.entries()) {
          if (round.length === roundSizeMax) continue;
          const later = rounds.slice(index + 1).flat();
          for (const plan of later) expect(takenBy(round) + shareOf(plan)).toBeGreaterThan(1);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("put loads of one length together, and of those first the one that takes most", () => {
    const sizes = [2, 8, 2, 8, 2, 8];
    const plans = sizes.map((seconds, index) => planned({ seconds, perSecond: 100 + 20 * index }));
    expect(roundsOf(plans, (plan) => plan)).toEqual([
      [plans[0], plans[4], plans[2], plans[5]],
      [plans[1], plans[3]],
    ]);
  });

  test("put worlds together with themselves, and kinds", () => {
    const plans = (["docker", "local", "docker", "local"] as const).map((world) => planned({}, world));
    expect(roundsOf(plans, (plan) => plan)).toEqual([
      [plans[0], plans[2]],
      [plans[1], plans[3]],
    ]);
    expect(
      roundsOf(
        plans,
        (plan) => plan,
        (plan) => plan === plans[0],
      ),
    ).toEqual([[plans[0]], [plans[1], plans[3]], [plans[2]]]);
  });

  test("of a hundred thousand seeds are found at once", () => {
    const inSim = planned({}, "sim");
    const seeds = Array.from({ length: 100_000 }, (_, index) => index);
    expect(roundsOf(seeds, () => inSim)).toHaveLength(seeds.length);
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
