import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, expect, test } from "vitest";

import { createRandom } from "../../runtime/random.ts";
import { label } from "../worlds/docker/labels.ts";
import { describeReal, docker } from "../worlds/docker/testing.ts";

const text = `
import { constant, consumer, provider, scenario, successRate } from "${join(import.meta.dirname, "../scenario/builders.ts")}";
export default scenario({
  name: "short",
  title: { en: "Short", zh: "短" },
  explanation: { en: "Calls for a second.", zh: "调用一秒。" },
  fleet: { shop: consumer({ instances: 1, calls: "orders", timeout: "1s" }), orders: provider({ instances: 2 }) },
  load: constant("80/s").on("shop").for("1s"),
  expect: [successRate("orders").atLeast("90%").detects("40%")],
});
`;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "killed-"));
  await writeFile(join(directory, "short.ts"), text);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** One run of the command line; killed with SIGKILL after `killAfterMs`, if it is still there. Resolves with its process id and its code. */
async function run(killAfterMs: number | undefined): Promise<{ readonly pid: number; readonly code: number | null }> {
  const args = [
    join(import.meta.dirname, "main.ts"),
    "run",
    "./short.ts",
    "--world",
    "docker",
    "--registry",
    "zookeeper",
  ];
  const child = spawn(process.execPath, args, { cwd: directory, stdio: "ignore" });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  if (killAfterMs !== undefined) {
    await Promise.race([sleep(killAfterMs), exited]);
    child.kill("SIGKILL");
  }
  return { pid: child.pid!, code: await exited };
}

/** The containers and networks of these processes. */
async function ofProcesses(pids: ReadonlySet<string>): Promise<readonly string[]> {
  const filters = { label: [label.owner] };
  const [containers, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
  ]);
  return [
    ...containers.map(({ Labels, Names }) => ({ owner: Labels[label.owner], name: Names[0]! })),
    ...networks.map(({ Labels, Name }) => ({ owner: Labels?.[label.owner], name: Name })),
  ]
    .filter(({ owner }) => pids.has(owner?.split(" ")[2] ?? ""))
    .map(({ name }) => name);
}

describeReal("twenty runs, of which five are killed", () => {
  test("leave no container and no network, and disturb nobody", async () => {
    const random = createRandom(Date.now());
    // Of every four the last is killed, from while it looks for its engine until it is nearly over.
    const killAfterMs = Array.from({ length: 20 }, (_, index) =>
      index % 4 === 3 ? Math.round(200 + 4_000 * random.float()) : undefined,
    );
    const ended: { readonly pid: number; readonly code: number | null }[] = [];
    const lanes = [0, 1].map(async (lane) => {
      for (let index = lane; index < killAfterMs.length; index += 2) ended.push(await run(killAfterMs[index]));
    });
    await Promise.all(lanes);
    expect(ended.filter(({ code }) => code === null).length, `killed after ${killAfterMs.join(", ")} ms`).toBe(5);
    // What a busy machine spoils is inconclusive (5), and nothing worse.
    expect(ended.flatMap(({ code }) => (code === null || code === 0 || code === 5 ? [] : [code]))).toEqual([]);
    const pids = new Set(ended.map(({ pid }) => String(pid)));
    const untilMs = performance.now() + 30_000;
    let left = await ofProcesses(pids);
    while (left.length > 0 && performance.now() < untilMs) {
      await sleep(200);
      left = await ofProcesses(pids);
    }
    expect(left).toEqual([]);
  }, 400_000);
});
