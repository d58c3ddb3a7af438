import { describe, expect, test } from "vitest";

import { openWorld } from "../../harness/cli/worlds.ts";
import { runScenario } from "../../harness/run.ts";
import type { Scenario } from "../../harness/scenario/schema.ts";
import type { Sabotage } from "../../harness/worlds/world.ts";
import { balancers } from "../../runtime/balancing/table.ts";
import { clusters } from "../../runtime/cluster/table.ts";
import { swappedBalancer, swappedCluster } from "./kit.ts";

/** Each policy has a scenario that shows what is its own: with a plainer one in its place, that scenario fails. */

/** By strategy: its scenario, and what is put in its place. */
const ofClusters: Readonly<Record<string, readonly [scenario: string, given: string]>> = {
  failover: ["node-loss", "failfast"],
  failfast: ["no-retries", "failover"],
  failsafe: ["audit-lost", "failfast"],
  failback: ["notice-redelivered", "failsafe"],
  forking: ["two-at-once", "failover"],
  broadcast: ["told-everyone", "failover"],
  available: ["primary-lost", "failover"],
  "zone-aware": ["zone-lost", "failover"],
  hedging: ["hedging-tail", "failover"],
};

const ofBalancers: Readonly<Record<string, readonly [scenario: string, given: string]>> = {
  "weighted-random": ["cold-start-warm-up", "uniform-random"],
  "uniform-random": ["turns-or-dice", "weighted-random"],
  "round-robin": ["turns-or-dice", "uniform-random"],
  "smooth-weighted-round-robin": ["weighted-balance", "round-robin"],
  "least-active": ["slow-node", "weighted-random"],
  p2c: ["latency-injection", "weighted-random"],
  "p2c-peak-ewma": ["slow-instance", "weighted-random"],
  "p2c-adaptive": ["slow-instance", "weighted-random"],
  "weighted-round-robin": ["slow-instance", "round-robin"],
  "consistent-hash": ["keys-stay", "uniform-random"],
  "consistent-hash-bounded": ["hot-key", "consistent-hash"],
  "jump-hash": ["keys-stay", "uniform-random"],
};

const scenarioOf = async (name: string): Promise<Scenario> =>
  ((await import(`../${name}.ts`)) as { readonly default: Scenario }).default;

/** That it passes when nothing is planted, the sabotages of each scenario say. */
async function verdictOf(
  name: string,
  sabotage?: Sabotage,
  change = (scenario: Scenario): Scenario => scenario,
): Promise<string> {
  const scenario = change(await scenarioOf(name));
  const world = await openWorld("sim");
  return (await runScenario(scenario, { world, seed: 1, sabotage, hasControls: false })).result.verdict;
}

test("none is left out", () => {
  expect(Object.keys(ofClusters).sort()).toEqual(Object.keys(clusters).sort());
  expect(Object.keys(ofBalancers).sort()).toEqual(Object.keys(balancers).sort());
});

describe.each(Object.entries(ofClusters))("the strategy %s", (name, [scenario, given]) => {
  test(`is what ${scenario} needs: not with ${given}`, async () => {
    expect(await verdictOf(scenario, swappedCluster(name, given))).toBe("fail");
  });
});

describe.each(Object.entries(ofBalancers))("the balancer %s", (name, [scenario, given]) => {
  test(`is what ${scenario} needs: not with ${given}`, async () => {
    expect(await verdictOf(scenario, swappedBalancer(name, given))).toBe("fail");
  });
});

test("a queue that turns round is what newest-first needs: not with fifo", async () => {
  const inOrder = (scenario: Scenario): Scenario => {
    const { orders } = scenario.fleet;
    if (orders?.program !== "provider") throw new Error("orders is no provider");
    return { ...scenario, fleet: { ...scenario.fleet, orders: { ...orders, queue: { order: "fifo" } } } };
  };
  expect(await verdictOf("newest-first", undefined, inOrder)).toBe("fail");
});
