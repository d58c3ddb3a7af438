import { spawn, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";

import { inParallel } from "../harness/parallel.ts";
import { constant, consumer, provider, scenario, successRate } from "../harness/scenario/builders.ts";
import { planScenario } from "../harness/scenario/planner.ts";
import { dockerWorld } from "../harness/worlds/docker/world.ts";
import { localWorld } from "../harness/worlds/local/world.ts";
import type { World } from "../harness/worlds/world.ts";
import { ratios, type Bench } from "./bench.ts";

/** A process that does nothing: it says that it is there, and waits for its end. */
const bare = `process.send("here"); process.on("disconnect", () => process.exit())`;

const singles = 50;
const packed = { nodes: 200, pack: 100 };
/** A container each, beside a ZooKeeper. */
const contained = 5;

/** From nothing to a fleet that is ready: in world `local`, beside as many processes that do nothing; in `docker`, where there is one. */
export const start: Bench = {
  name: "start",
  about:
    "start-up of 50 providers on their own and of 200 that share 2 processes, against bare forks; of the docker world",

  run: async (rounds, progress) => {
    const alone: number[] = [];
    const forks: number[] = [];
    const shared: number[] = [];
    const fewForks: number[] = [];
    const containers: number[] = [];
    let obstacle = (await dockerWorld().missing())?.message;
    for (let round = 1; round <= rounds; round++) {
      progress(`start: round ${round} of ${rounds}`);
      alone.push(await fleetMs(localWorld(), { instances: singles }));
      forks.push(await forksMs(singles));
      shared.push(await fleetMs(localWorld(), { instances: packed.nodes, pack: packed.pack }));
      fewForks.push(await forksMs(packed.nodes / packed.pack));
      if (obstacle !== undefined) continue;
      try {
        containers.push(await fleetMs(dockerWorld(), { instances: contained }));
      } catch (error) {
        // An image that can't be had, mostly: the rest is measured all the same.
        obstacle = reasonOf(error);
      }
    }
    return [
      { what: `${singles} single providers`, unit: "ms", values: alone },
      { what: `${singles} bare forks`, unit: "ms", values: forks },
      { what: "single providers / bare forks", unit: "×", values: ratios(alone, forks), target: "≤ 3" },
      { what: `${packed.nodes} packed providers`, unit: "ms", values: shared, target: "≤ 500" },
      { what: `${packed.nodes / packed.pack} bare forks`, unit: "ms", values: fewForks },
      { what: "packed providers / bare forks", unit: "×", values: ratios(shared, fewForks) },
      { what: "a packed provider", unit: "ms", values: shared.map((ms) => ms / packed.nodes) },
      { what: "a single provider", unit: "ms", values: alone.map((ms) => ms / singles) },
      {
        what: `docker: ${contained} providers and a ZooKeeper`,
        unit: "s",
        values: containers.map((ms) => ms / 1000),
        target: "≤ 30",
        note: obstacle,
      },
    ];
  },
};

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The registry and one consumer come with them, as in every fleet. */
async function fleetMs(
  world: World,
  { instances, pack }: { readonly instances: number; readonly pack?: number },
): Promise<number> {
  const value = scenario({
    name: "start",
    title: { en: "Start-up", zh: "启动" },
    explanation: { en: "Nothing but a start.", zh: "只启动。" },
    fleet: { shop: consumer({ instances: 1, calls: "orders" }), orders: provider({ instances }) },
    load: constant("200/s").on("shop").for("8s"),
    expect: [successRate("orders").atLeast("99%").detects("90%")],
  });
  const registry = world.name === "docker" ? "zookeeper" : undefined;
  const plan = planScenario(value, { world: world.name, seed: 1, pack, registry });
  const begunMs = performance.now();
  const none = (): void => undefined;
  const options = { onEvents: none, onGap: none, onExit: none, onProgress: none, signal: new AbortController().signal };
  try {
    return await world.run(plan, options, async () => performance.now() - begunMs);
  } finally {
    await world.close?.();
  }
}

/** As many at a time as the harness starts. */
async function forksMs(count: number): Promise<number> {
  const begunMs = performance.now();
  const children: ChildProcess[] = [];
  try {
    await inParallel(Array.from({ length: count }), 2 * availableParallelism(), async () => {
      const child = spawn(process.execPath, ["-e", bare], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
      children.push(child);
      await new Promise((resolve, reject) => child.once("message", resolve).once("error", reject));
    });
    return performance.now() - begunMs;
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}
