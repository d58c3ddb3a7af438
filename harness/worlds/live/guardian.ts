import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import { compileCache } from "../../compile-cache.ts";
import { startTimeOf } from "./process-table.ts";

/** What a harness tells its guardian, one JSON document a line. */
export type ToGuardian =
  | { readonly type: "process"; readonly pid: number; readonly startTime: string | undefined }
  | { readonly type: "gone"; readonly pid: number }
  | { readonly type: "directory"; readonly path: string }
  /** Everything in a Docker engine that carries the invocation's label. */
  | { readonly type: "containers"; readonly invocation: string; readonly engine: string };

const program = fileURLToPath(new URL("guardian-process.ts", import.meta.url));

/** How long a guardian may take to clean up after an orderly end, and when it has containers to remove. */
const endsWithinMs = 3_000;
const containersEndWithinMs = 60_000;

/**
 * Sees to it that nothing outlives this process: whatever is registered here is ended and removed when this process ends,
 * even by SIGKILL. Registering takes effect at once, before the call returns: it is one write into a pipe.
 */
export class Guardian {
  readonly #registered = new Map<number | string, ToGuardian>();
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isClosed = false;
  #hasContainers = false;

  constructor() {
    this.#spawn();
  }

  /** Registers a child that was just started and leads a process group of its own. */
  process(pid: number): void {
    // A child can't be gone from the process table before its parent has been told, so this is its own start time.
    this.#tell(pid, { type: "process", pid, startTime: startTimeOf(pid) });
  }

  /** The child's end was seen: its id may be somebody else's soon. */
  gone(pid: number): void {
    this.#registered.delete(pid);
    this.#write({ type: "gone", pid });
  }

  /** Registers a directory, best before it is made. */
  directory(path: string): void {
    this.#tell(path, { type: "directory", path });
  }

  /** Registers what an invocation has in the Docker engine at `engine` (as in DOCKER_HOST), best before there is anything. */
  containers(invocation: string, engine: string): void {
    this.#hasContainers = true;
    this.#tell(invocation, { type: "containers", invocation, engine });
  }

  /** Ends and removes all that is registered; resolves when that is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#process?.stdin?.end();
    const withinMs = this.#hasContainers ? containersEndWithinMs : endsWithinMs;
    const timer = setTimeout(() => this.#process?.kill("SIGKILL"), withinMs);
    await this.#ended;
    clearTimeout(timer);
  }

  #tell(key: number | string, message: ToGuardian): void {
    this.#registered.set(key, message);
    this.#write(message);
  }

  #write(message: ToGuardian): void {
    this.#process?.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  #spawn(): void {
    // Detached: a terminal's Ctrl-C is for the harness, which then ends everything in order. No inherited output: whoever reads
    // the harness's waits for its end only.
    const child = spawn(process.execPath, [program], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      env: { ...engineEnv(), NODE_COMPILE_CACHE: compileCache },
    });
    child.stdin?.on("error", () => undefined);
    this.#process = child;
    this.#ended = new Promise((resolve) => {
      const onEnd = (): void => {
        // One that somebody killed is replaced, and told everything again.
        if (!this.#isClosed && child.pid !== undefined) this.#spawn();
        resolve();
      };
      child.once("exit", onEnd).once("error", onEnd);
    });
    for (const message of this.#registered.values()) this.#write(message);
  }
}

/** What a client needs to reach the engine that the harness reaches. */
function engineEnv(): Readonly<Record<string, string>> {
  const names = ["DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
