import { expect, test as anywhere } from "vitest";

import { runScenario } from "../../run.ts";
import { constant, consumer, provider, scenario, successRate } from "../../scenario/builders.ts";
import { childrenOf, commandOf } from "../live/process-table.ts";
import type { World } from "../world.ts";
import { localWorld } from "./world.ts";

/** It looks into the process table, and wants more of loopback than one address. */
const test = anywhere.runIf(process.platform === "linux");

const hundred = scenario({
  name: "a-hundred",
  title: { en: "A hundred providers and twenty consumers", zh: "一百个提供方和二十个消费方" },
  explanation: { en: "Nothing happens to them.", zh: "它们什么事也没有。" },
  fleet: {
    shop: consumer({ instances: 20, calls: "orders", timeout: "20s", retries: 0, balancer: "random" }),
    orders: provider({ instances: 100, serviceTime: { exponential: { mean: "5ms" } } }),
  },
  load: constant("300/s").on("shop").for("4s"),
  expect: [successRate("orders").atLeast("99%").detects("90%")],
});

test("a hundred providers and twenty consumers share six processes, each at an address of its own, and every one of them works", async () => {
  const world = localWorld();
  let commands: readonly string[] = [];
  let addresses: readonly string[] = [];
  const watched: World = {
    ...world,
    run: (plan, options, main) =>
      world.run(plan, options, (fleet) => {
        commands = childrenOf(process.pid).map(commandOf);
        addresses = [...fleet.nodes.values()].map(({ address }) => address);
        return main(fleet);
      }),
  };
  const { result, history, brokenBy } = await runScenario(hundred, { world: watched, seed: 1, pack: 20 });
  expect(brokenBy).toBeUndefined();
  expect(history.processes).toEqual([]);

  // The registry has a process for itself.
  expect(commands.filter((command) => command.includes(" pack "))).toHaveLength(6);
  const fleet = addresses.slice(-120);
  expect(new Set(fleet.map((address) => address.split(":")[0])).size).toBe(120);

  // How soon, and whether, a call on a busy machine is answered isn't the question; but each was made, and by all of the consumers.
  expect(result.calls.total).toBe(1_200);
  const made = history.calls.filter(({ service }) => service === "orders");
  expect(new Set(made.map(({ node }) => node)).size).toBe(20);
  // Twelve calls each, drawn: nobody is left out, and nobody is called a third of the time.
  const served = Object.entries(result.instances).filter(([id]) => id.startsWith("orders/"));
  expect(served).toHaveLength(100);
  expect(served.filter(([, { ok }]) => ok === 0)).toEqual([]);
  expect(Math.max(...served.map(([, { calls }]) => calls))).toBeLessThan(45);
  expect(result.harnessCpu).toBeLessThan(0.25);
}, 180_000);
