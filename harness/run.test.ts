import { expect, test } from "vitest";

import { explain } from "./cli/errors.ts";
import { openWorld } from "./cli/worlds.ts";
import { LoadError, type LoadDriver } from "./load/driver.ts";
import { runScenario } from "./run.ts";
import { at, consumer, poisson, provider, scenario, successRate } from "./scenario/builders.ts";
import { PrometheusError } from "./telemetry/prometheus.ts";
import { WorldError } from "./worlds/error.ts";
import type { World } from "./worlds/world.ts";

const shop = scenario({
  name: "shop",
  title: { en: "Shop", zh: "商店" },
  explanation: { en: "A shop.", zh: "一家商店。" },
  fleet: { storefront: consumer({ instances: 1, calls: "orders" }), orders: provider({ instances: 2 }) },
  load: poisson("80/s").on("storefront").for("2s"),
  expect: [successRate("orders").atLeast("90%").detects("50%")],
});

/** A world that breaks when all calls have been made. */
async function breakingWith(error: Error): Promise<World> {
  const world = await openWorld("sim");
  return {
    ...world,
    run: (plan, options, main) =>
      world.run(plan, options, async (fleet) => {
        await main(fleet);
        throw error;
      }),
  };
}

test.each([
  [new WorldError("the proxies are gone", { code: "UNAVAILABLE" }), 3],
  [new PrometheusError("Prometheus doesn't answer", { code: "UNREACHABLE" }), 3],
  [new TypeError("x is not a function"), 70],
])("a run that %s broke off is told in full, and keeps what broke it for the exit code", async (error, exitCode) => {
  const { result, history, brokenBy } = await runScenario(shop, { world: await breakingWith(error), seed: 1 });
  expect(result).toMatchObject({ verdict: "error", reason: error.message });
  expect(history.calls.length).toBeGreaterThan(100);
  expect(explain(brokenBy).exitCode).toBe(exitCode);
});

test.each([
  ["that dies by itself is a defect of ours", { how: "it ended with exit code 1" }, "died by itself", undefined],
  ["whose machine is lost is none of ours", { how: "the engine lost it", isLost: true }, "is lost", 3],
])("a node %s", async (_, ending, said, exitCode) => {
  const sim = await openWorld("sim");
  const world: World = {
    ...sim,
    run: (plan, options, main) =>
      sim.run(plan, options, async (fleet) => {
        const done = await main(fleet);
        options.onExit("orders/0", fleet.clock.nowUs(), ending);
        return done;
      }),
  };
  const { result, brokenBy } = await runScenario(shop, { world, seed: 1 });
  expect(result).toMatchObject({ verdict: "error", reason: `node orders/0 ${said}: ${ending.how}` });
  expect(brokenBy === undefined ? undefined : explain(brokenBy).exitCode).toBe(exitCode);
});

test("who is to restart, or to stop, while it starts again does so when it is back", async () => {
  const timeline = [
    at("500ms").kill("orders/1", { for: "500ms" }),
    at("1050ms").restart("orders/1"),
    at("1100ms").stop("orders/1"),
  ];
  const load = shop.load.map((one) => ({ ...one, legs: [{ rate: "80/s", for: "5s" }] }));
  const world = await openWorld("sim");
  const { result, history } = await runScenario({ ...shop, load, timeline }, { world, seed: 1 });
  expect(result.reason).toBeUndefined();
  const [, back, stopped] = history.steps.filter(({ phase }) => phase === "applied");
  const all = history.calls.flatMap(({ attempts }) => attempts);
  const lastUs = (instance: string) =>
    Math.max(...all.filter((one) => one.instance === instance).map(({ endUs }) => endUs));
  expect(stopped!.atUs).toBeGreaterThan(back!.atUs);
  expect(lastUs("orders/1")).toBeGreaterThan(history.steps.find(({ phase }) => phase === "lifted")!.atUs);
  expect(lastUs("orders/1")).toBeLessThanOrEqual(stopped!.atUs);
  expect(lastUs("orders/0")).toBeGreaterThan(stopped!.atUs);
});

test("a load that can't be started leaves none of the run's timers", async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const load: LoadDriver = {
    name: "k6",
    missing: () => Promise.resolve(undefined),
    prepare: () => Promise.reject(new LoadError("there is no k6", { code: "UNAVAILABLE" })),
  };
  const ran = runScenario(shop, { world: await openWorld("local"), seed: 1, load });
  await expect(ran).rejects.toThrow("there is no k6");
  // Others of this process's are over soon; one of the run's would be set again and again.
  const untilMs = performance.now() + 2_000;
  while (timers() > 0 && performance.now() < untilMs) await new Promise((resolve) => setImmediate(resolve));
  expect(timers()).toBe(0);
});
