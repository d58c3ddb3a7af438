import { beforeAll, expect, test } from "vitest";

import { openWorld } from "../../cli/worlds.ts";
import type { History } from "../../history/history.ts";
import { runScenario } from "../../run.ts";
import { at, constant, consumer, provider, scenario, successRate } from "../../scenario/builders.ts";
import type { RegistryName } from "../../scenario/plan.ts";
import { registryTimings } from "../../scenario/registry.ts";
import type { World } from "../world.ts";
import { describeReal } from "./testing.ts";

/** One provider of three dies at a moment between two heartbeats; then there is time enough for the registry to notice. */
const dying = (seconds: number, diesMs: number) =>
  scenario({
    name: "dying",
    title: { en: "one dies", zh: "一个死去" },
    explanation: { en: "one dies", zh: "一个死去" },
    fleet: {
      storefront: consumer({ instances: 1, calls: "orders", timeout: "1s", balancer: "smooth-weighted-round-robin" }),
      orders: provider({ instances: 3 }),
    },
    load: constant("40/s").on("storefront").for(`${seconds}s`),
    timeline: [at(`${diesMs}ms`).kill("orders/1")],
    expect: [successRate("orders").atLeast("90%").detects("50%")],
  });

/** From the death of orders/1 until its caller no longer lists it; undefined: never. */
function visibleMs({ memberships, steps }: History): number | undefined {
  const diedUs = steps.find(({ phase }) => phase === "applied")!.atUs;
  const forgotten = memberships.find(({ atUs, instances }) => atUs > diedUs && !instances.includes("orders/1"));
  return forgotten && (forgotten.atUs - diedUs) / 1000;
}

async function measure(
  world: World,
  registry: RegistryName,
  seed: number,
  { seconds, diesMs }: { readonly seconds: number; readonly diesMs: number },
): Promise<number> {
  const { result, history } = await runScenario(dying(seconds, diesMs), { world, seed, registry });
  expect(result.verdict, result.reason).not.toBe("error");
  const ms = visibleMs(history);
  expect(ms, `${registry} in ${world.name}, seed ${seed}`).toBeDefined();
  return ms!;
}

/** A busy machine. */
const lateMs = 1_200;

const cases = [
  ["zookeeper", 10],
  ["consul", 19],
  ["nacos", 24],
] as const;

describeReal("how long a dead provider stays visible", () => {
  /** In `sim`: the least and the most of a registry's many ways to be in the middle of something. */
  const predicted = new Map<RegistryName, { readonly least: number; readonly most: number }>();
  // All of it before anything is measured, for it takes the processor.
  beforeAll(async () => {
    const sim = await openWorld("sim");
    for (const [registry, seconds] of cases) {
      const visible: number[] = [];
      // Every moment between two heartbeats and two looks of the registry is as good as another: up to 5 s.
      for (let seed = 1; seed <= 50; seed++) {
        visible.push(await measure(sim, registry, seed, { seconds: seconds + 5, diesMs: 1_000 + 100 * seed }));
      }
      predicted.set(registry, { least: Math.min(...visible), most: Math.max(...visible) });
    }
  }, 120_000);

  test.concurrent.each(cases)(
    "over %s is what the embedded registry in its manner predicts",
    async (registry, seconds) => {
      const { least, most } = predicted.get(registry)!;
      // It was last heard up to a third of its timeout before it died.
      const { sessionTimeoutMs, tickMs } = registryTimings[registry]!;
      expect(least).toBeGreaterThan(sessionTimeoutMs * 0.6);
      expect(most).toBeLessThan(sessionTimeoutMs + tickMs + 1_000);
      const docker = await openWorld("docker");
      try {
        const measured = await measure(docker, registry, 1, { seconds, diesMs: 1_000 });
        console.log(`${registry}: ${least} to ${most} ms predicted, ${measured} ms measured`);
        // Our registry begins with its fleet, so that its looks and their heartbeats keep one distance; a server that was there before may
        // have any: between two thirds of the timeout, and the timeout and a look. What is beyond that is this machine's: a heartbeat that
        // it is late with is one that the dead hadn't sent yet.
        expect(measured).toBeGreaterThan(Math.min(least, (sessionTimeoutMs * 2) / 3) - lateMs);
        expect(measured).toBeLessThan(Math.max(most, sessionTimeoutMs + tickMs) + lateMs);
      } finally {
        await docker.close?.();
      }
    },
    120_000,
  );
});
