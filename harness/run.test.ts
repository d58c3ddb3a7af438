import { expect, test } from "vitest";

import { explain } from "./cli/errors.ts";
import { openWorld } from "./cli/worlds.ts";
import { runScenario } from "./run.ts";
import { consumer, poisson, provider, scenario, successRate } from "./scenario/builders.ts";
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
