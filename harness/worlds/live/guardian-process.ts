import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import type { ToGuardian } from "./guardian.ts";
import { startTimeOf } from "./process-table.ts";

// The guardian's program: it learns through its standard input what a harness has started, and when that input ends, however
// the harness came to its end, it ends all of it. It is a process of its own because a paused node can't end itself.

/** By process id, the start time that tells it from a later process with the same id. */
const processes = new Map<number, string | undefined>();
const directories = new Set<string>();
/** By invocation, where its engine is. */
const invocations = new Map<string, string>();

/** Killed processes are gone within this time; then their directories can be removed. */
const goneWithinMs = 2_000;

function hear(message: ToGuardian): void {
  switch (message.type) {
    case "process":
      processes.set(message.pid, message.startTime);
      break;
    case "gone":
      processes.delete(message.pid);
      break;
    case "directory":
      directories.add(message.path);
      break;
    case "containers":
      invocations.set(message.invocation, message.engine);
      break;
  }
}

async function clean(): Promise<void> {
  for (const pid of processes.keys()) {
    if (!isAlive(pid)) continue;
    kill(pid, "SIGKILL");
    // Where a stopped process doesn't even die, it does once it goes on.
    kill(pid, "SIGCONT");
  }
  for (const [invocation, engine] of invocations) await removeContainers(invocation, engine);
  const untilMs = performance.now() + goneWithinMs;
  while ([...processes.keys()].some(isAlive) && performance.now() < untilMs) await sleep(10);
  for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

/** Loaded only now: most guardians never need an engine. What an engine that is gone itself leaves, the next run removes. */
async function removeContainers(invocation: string, engine: string): Promise<void> {
  process.env["DOCKER_HOST"] = engine;
  const [{ openEngine }, { removeInvocation }] = await Promise.all([
    import("../docker/engine.ts"),
    import("../docker/clean.ts"),
  ]);
  const docker = openEngine();
  // Twice: a container that the harness had asked for with its last breath is made a moment later.
  for (let time = 0; time < 2; time++) {
    await removeInvocation(docker, invocation).catch(() => undefined);
    await sleep(500);
  }
}

/** Whether it is still the process that was registered. Without a process table, its id has to do. */
function isAlive(pid: number): boolean {
  const startTime = processes.get(pid);
  if (startTime !== undefined) return startTimeOf(pid) === startTime;
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Each node leads a process group: whatever it started ends with it. */
function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}

// Only the end of its input ends it: a guardian that can be interrupted guards nothing.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text: string) => {
  const lines = (rest + text).split("\n");
  // What isn't complete yet, or never will be: the harness died while it wrote.
  rest = lines.pop() ?? "";
  for (const line of lines) hear(JSON.parse(line) as ToGuardian);
});
process.stdin.on("error", () => undefined);
process.stdin.on("close", () => void clean());
