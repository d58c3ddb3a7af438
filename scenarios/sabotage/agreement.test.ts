import { expect, test } from "vitest";

import { openWorld } from "../../harness/cli/worlds.ts";
import { agree } from "../../harness/judge/agreement.ts";
import { runScenario } from "../../harness/run.ts";
import type { Scenario } from "../../harness/scenario/schema.ts";
import { applySets } from "../../harness/scenario/set.ts";
import gracefulShutdown from "../graceful-shutdown.ts";
import nodeLoss from "../node-loss.ts";
import noRetries from "../no-retries.ts";

/**
 * Each tolerance between the worlds can fail: a simulator whose service time, or whose detection of a death, takes twice as long
 * no longer predicts what it predicted before.
 */
async function disagreements(scenario: Scenario, sets: readonly string[]): Promise<string[]> {
  const world = await openWorld("sim");
  const measured = await runScenario(scenario, { world, seed: 1 });
  const predicted = await runScenario(applySets(scenario, sets), { world, seed: 1 });
  const { rows } = agree(scenario, predicted, [measured]);
  return rows.filter(({ measured: [found] }) => found?.agrees === false).map(({ quantity }) => quantity);
}

test("the same simulator twice agrees on everything", async () => {
  expect(await disagreements(gracefulShutdown, [])).toEqual([]);
  expect(await disagreements(noRetries, [])).toEqual([]);
});

test("a doubled service time shows in the p99", async () => {
  expect(await disagreements(gracefulShutdown, ["fleet.orders.serviceTime.exponential.mean=16ms"])).toContain("p99");
});

test("a doubled detection delay shows in success and recovery", async () => {
  const found = await disagreements(noRetries, ["registry.sessionTimeout=1200ms", "registry.tick=200ms"]);
  expect(found).toContain("orders success");
  expect(found).toContain("orders recovery after 1.5 s");
});

test("a doubled detection delay shows in the shares", async () => {
  expect(await disagreements(nodeLoss, ["registry.sessionTimeout=3s", "registry.tick=1s"])).toContain("orders/1 share");
});
