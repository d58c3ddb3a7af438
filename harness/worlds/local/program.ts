import { spawn, type ChildProcess } from "node:child_process";

import { compileCache } from "../../compile-cache.ts";
import type { Guardian } from "../live/guardian.ts";
import type { NodeArguments } from "../live/programs.ts";

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
  readonly main: NodeArguments;
  /** What it shows as in lists of processes. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly guardian: Guardian;
  readonly onMessage: (message: unknown) => void;
  readonly onText: (text: string) => void;
}): RunningProgram {
  const { main, args, env, guardian, onMessage, onText } = options;
  // Its own process group: Ctrl-C in a terminal is for the harness alone. Its own environment: what a node does depends on
  // its configuration, and not on a proxy or an inspector that somebody has set up for other programs.
  const child = spawn(process.execPath, [...main, ...args], {
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
