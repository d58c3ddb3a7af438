import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

import { expect, test as anywhere } from "vitest";

import { childrenOf, commandOf, startTimeOf } from "../live/process-table.ts";

/** They look into the process table. */
const test = anywhere.runIf(process.platform === "linux");

const world = new URL("world.ts", import.meta.url).href;
const fixture = new URL("../live/fixture.ts", import.meta.url).href;

/** A harness of a small fleet: it pauses a node, tells so, and waits for ever. */
const harness = `
  const { localWorld } = await import(${JSON.stringify(world)});
  const { smallPlan } = await import(${JSON.stringify(fixture)});
  const ignore = () => undefined;
  const options = {
    onEvents: ignore, onGap: ignore, onExit: ignore, signal: new AbortController().signal,
    onProgress: (message) => console.log(message),
  };
  await localWorld().run(smallPlan([{ from: "shop/0", to: "orders/0" }]), options, async (fleet) => {
    await fleet.nodes.get("orders/0").pause();
    await fleet.link("shop/0", "orders/0").shape({ cut: "both" });
    console.log("paused");
    await fleet.clock.sleep(600_000_000);
  });
`;

test("a harness that is killed in the middle of faults takes its whole fleet with it within 3 s", async () => {
  const fleet = await killedHarness("paused");
  expect(fleet.length).toBe(6);
  await expectGone(fleet, 3_000);
});

test("so does one that is killed while its fleet starts", async () => {
  await expectGone(await killedHarness("starting 5 processes"), 3_000);
});

test("a guardian that somebody has killed is replaced", async () => {
  const child = start();
  await printed(child, "paused");
  const guardian = childrenOf(child.pid!).find((pid) => commandOf(pid).includes("guardian-process.ts"))!;
  process.kill(guardian, "SIGKILL");
  while (!childrenOf(child.pid!).some((pid) => pid !== guardian && commandOf(pid).includes("guardian-process.ts"))) {
    await sleep(10);
  }
  await expectGone(await killed(child), 3_000);
});

interface Witness {
  readonly pid: number;
  readonly startTime: string | undefined;
}

function start(): ChildProcess {
  return spawn(process.execPath, ["--input-type=module", "--eval", harness], { stdio: ["ignore", "pipe", "inherit"] });
}

async function killedHarness(when: string): Promise<readonly Witness[]> {
  const child = start();
  await printed(child, when);
  return killed(child);
}

/** Kills it; answers the processes that it had started. */
async function killed(child: ChildProcess): Promise<readonly Witness[]> {
  const fleet = childrenOf(child.pid!).map((pid) => ({ pid, startTime: startTimeOf(pid) }));
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  return fleet;
}

function printed(child: ChildProcess, line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.on("data", (more: Buffer) => {
      text += more.toString();
      if (text.includes(line)) resolve();
    });
    child.once("exit", () => reject(new Error(`the harness ended after printing ${text}`)));
  });
}

async function expectGone(fleet: readonly Witness[], withinMs: number): Promise<void> {
  const untilMs = performance.now() + withinMs;
  const alive = (): readonly Witness[] =>
    fleet.filter(({ pid, startTime }) => startTime !== undefined && startTimeOf(pid) === startTime);
  while (alive().length > 0 && performance.now() < untilMs) await sleep(20);
  expect(alive()).toEqual([]);
}
