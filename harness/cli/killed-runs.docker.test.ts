import { spawn } from "node:child_process";
import { mkdtemp, readdir, readlink, realpath, rm, writeFile } from "node:fs/promises";
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
  directory = await realpath(await mkdtemp(join(tmpdir(), "killed-")));
  await writeFile(join(directory, "short.ts"), text);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** One run of the command line; killed with SIGKILL after `killAfterMs`, if it is still there. */
async function run(killAfterMs: number | undefined): Promise<Ended> {
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
  const code = await exited;
  return { pid: child.pid!, code };
}

interface Ended {
  readonly pid: number;
  /** Null when it was killed. */
  readonly code: number | null;
}

/** What works in this directory: the processes of these runs on this machine, guardians among them. */
async function processesIn(directory: string): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const at = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => undefined)));
  return pids.filter((_, index) => at[index] === directory).map((pid) => `process ${pid}`);
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

// What one experiment left broke the next in https://github.com/chaos-mesh/chaosd/issues/207.
describeReal("twenty runs, of which five are killed", () => {
  test("leave no container, no network and no process, and disturb nobody", async () => {
    const random = createRandom(Date.now());
    // Of every four the last is killed, from while it looks for its engine until it is nearly over.
    const killAfterMs = Array.from({ length: 20 }, (_, index) =>
      index % 4 === 3 ? Math.round(200 + 4_000 * random.float()) : undefined,
    );
    const ended: Ended[] = [];
    // Side by side, so that the dead leave their things among the living.
    const lanes = 3;
    await Promise.all(
      Array.from({ length: lanes }, async (_, lane) => {
        for (let index = lane; index < killAfterMs.length; index += lanes) ended.push(await run(killAfterMs[index]));
      }),
    );
    expect(ended.filter(({ code }) => code === null).length, `killed after ${killAfterMs.join(", ")} ms`).toBe(5);
    // What a busy machine spoils is inconclusive (5), and nothing worse.
    expect(ended.flatMap(({ code }) => (code === null || code === 0 || code === 5 ? [] : [code]))).toEqual([]);
    const pids = new Set(ended.map(({ pid }) => String(pid)));
    const untilMs = performance.now() + 30_000;
    const leftNow = async (): Promise<readonly string[]> => [
      ...(await ofProcesses(pids)),
      ...(await processesIn(directory)),
    ];
    let left = await leftNow();
    while (left.length > 0 && performance.now() < untilMs) {
      await sleep(200);
      left = await leftNow();
    }
    expect(left).toEqual([]);
  }, 600_000);
});
