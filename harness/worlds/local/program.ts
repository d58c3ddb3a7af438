import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { compileCache } from "../../compile-cache.ts";
import type { Guardian } from "../live/guardian.ts";
import type { NodePlan } from "../../scenario/plan.ts";
import { bundled } from "./bundle.ts";

const start = fileURLToPath(new URL("start.cjs", import.meta.url));
const source = fileURLToPath(new URL("../../../services/main.ts", import.meta.url));
/** Where this checkout has them in one piece. */
const bundles = fileURLToPath(new URL("../../../.flyball/services", import.meta.url));

/**
 * The file that a process with these nodes runs: `services/main.ts` in one piece, where that could be made. A module of the user's own
 * imports the runtime from its sources, and must find there the very classes that its node has.
 */
export async function programs(directory = bundles): Promise<(nodes: readonly NodePlan[]) => string> {
  const whole = await bundled(source, directory);
  return (nodes) => {
    const hasOwn = nodes.some(({ config }) => config["own"] !== undefined);
    // A node that comes back finds nothing there when somebody has tidied up meanwhile.
    return whole === undefined || hasOwn || !existsSync(whole) ? source : whole;
  };
}

/** The first collection of the young generation would come while a node starts, and finds next to nothing that is garbage. */
const flags = ["--disable-warning=ExperimentalWarning", "--min-semi-space-size=8"];

/** A process that runs programs of the fleet. */
export interface RunningProgram {
  readonly child: ChildProcess;
  /** Sends it a message, if it can still hear it. */
  readonly send: (message: object) => void;
  /** Resolves with how it ended, once it is gone and everything that it sent was heard. */
  readonly ended: Promise<string>;
}

/** Starts one of `programs` with IPC. Whatever becomes of this process, the guardian ends it. */
export function startProgram(options: {
  readonly main?: string | undefined;
  /** What it shows as in lists of processes. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly guardian: Guardian;
  readonly onMessage: (message: unknown) => void;
  readonly onText: (text: string) => void;
}): RunningProgram {
  const { main = source, args, env, guardian, onMessage, onText } = options;
  // Its own process group: Ctrl-C in a terminal is for the harness alone. Its own environment: what a node does depends on
  // its configuration, and not on a proxy or an inspector that somebody has set up for other programs.
  const child = spawn(process.execPath, [...flags, ...(main === source ? [] : [start]), main, ...args], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: {
      PATH: process.env["PATH"],
      NODE_COMPILE_CACHE: compileCache,
      ...env,
    },
  });
  if (child.pid !== undefined) guardian.process(child.pid);
  child.on("message", onMessage);
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", onText);
  const send = (message: object): void => {
    // An error means that the process is ending, which is seen elsewhere.
    if (child.connected) child.send(message, () => undefined);
  };
  return { child, send, ended: untilEnded(child, guardian) };
}

async function untilEnded(child: ChildProcess, guardian: Guardian): Promise<string> {
  const failedToStart = await new Promise<Error | undefined>((resolve) => {
    // What it sent last may still be in the channel when it has ended already.
    let isGone = false;
    let isSilent = false;
    const check = (): void => {
      if (isGone && isSilent) resolve(undefined);
    };
    child.once("exit", () => endGroup(child));
    child.once("close", () => {
      isGone = true;
      check();
    });
    child.once("disconnect", () => {
      isSilent = true;
      check();
    });
    child.once("error", (error) => {
      if (child.pid === undefined) resolve(error);
    });
  });
  if (child.pid !== undefined) guardian.gone(child.pid);
  if (failedToStart !== undefined) return `it couldn't be started: ${failedToStart.message}`;
  const { exitCode, signalCode } = child;
  return signalCode === null ? `it ended with exit code ${exitCode}` : `it was ended by ${signalCode}`;
}

/** It leads a group: what it started itself goes with it, and lets go of its output. */
function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing is left of it.
  }
}
