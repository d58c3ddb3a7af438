import { expect, test } from "vitest";

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

describeReal("how long a dead provider stays visible", () => {
  test.each([
    ["zookeeper", 10],
    ["consul", 19],
    ["nacos", 24],
  ] as const)(
    "over %s is what the embedded registry in its manner predicts",
    async (registry, seconds) => {
      const [sim, docker] = await Promise.all([openWorld("sim"), openWorld("docker")]);
      const predicted: number[] = [];
      // Every moment between two heartbeats and two looks of the registry is as good as another: up to 5 s.
      for (let seed = 1; seed <= 50; seed++) {
        predicted.push(await measure(sim, registry, seed, { seconds: seconds + 5, diesMs: 1_000 + 100 * seed }));
      }
      const [least, most] = [Math.min(...predicted), Math.max(...predicted)];
      // It was last heard up to a third of its timeout before it died.
      const { sessionTimeoutMs, tickMs } = registryTimings[registry]!;
      expect(least).toBeGreaterThan(sessionTimeoutMs * 0.6);
      expect(most).toBeLessThan(sessionTimeoutMs + tickMs + 1_000);
      try {
        const measured = await measure(docker, registry, 1, { seconds, diesMs: 1_000 });
        console.log(`${registry}: ${least} to ${most} ms predicted, ${measured} ms measured`);
        // Our registry begins with its fleet, so that its looks and their heartbeats keep one distance; a server that was there before may
        // have any: between two thirds of the timeout, and the timeout and a look. What is later than that is this machine's.
        expect(measured).toBeGreaterThan(Math.min(least, (sessionTimeoutMs * 2) / 3) - 200);
        expect(measured).toBeLessThan(Math.max(most, sessionTimeoutMs + tickMs) + 1_200);
      } finally {
        await docker.close?.();
      }
    },
    120_000,
  );
});
