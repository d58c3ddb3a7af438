import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { WireReport, WireWindow } from "./wire-peer.ts";

/** How one side is started: the role and, for a client, the server's address are added. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** What a window showed. */
export interface Seen {
  readonly perSecond: number;
  /** Of both sides, for each call. */
  readonly cpuUs: number;
  readonly serverCpuUs: number;
  /** From when a call was due until its answer; only of an open loop. */
  readonly p50Us: number;
}

const peerFile = fileURLToPath(new URL("wire-peer.ts", import.meta.url));

/** A party of `wire-peer.ts`. */
export const inNode = (stack: string): Program => ({ command: process.execPath, args: [peerFile, stack] });

/** A client and a server, in processes of their own that stay warm between their windows. */
export class Pair {
  readonly #server: Side;
  readonly #client: Side;

  private constructor(server: Side, client: Side) {
    this.#server = server;
    this.#client = client;
  }

  static async open(server: Program, client: Program = server): Promise<Pair> {
    const serving = new Side(server, ["server"]);
    const address = (await serving.next()) as string;
    const calling = new Side(client, ["client", address]);
    await calling.next();
    return new Pair(serving, calling);
  }

  async measure(window: WireWindow): Promise<Seen> {
    const before = await this.#server.ask({});
    const { calls, cpuUs, p50Us = Number.NaN } = await this.#client.ask(window);
    const after = await this.#server.ask({});
    const serverCpuUs = (after.cpuUs - before.cpuUs) / calls;
    return { perSecond: (calls * 1000) / window.windowMs, cpuUs: cpuUs / calls + serverCpuUs, serverCpuUs, p50Us };
  }

  /** Both sides on these cores ("1", "0-3"). On one, what a waiting core takes to wake up is none of theirs. */
  async pin(cores: string): Promise<void> {
    for (const { pid } of [this.#server, this.#client]) await setCores(pid, cores);
  }

  close(): void {
    this.#client.kill();
    this.#server.kill();
  }
}

/** The cores that this process may use, as `taskset` lists them ("0-3"); rejects where there is no `taskset`. */
export async function ownCores(): Promise<string> {
  const { stdout } = await promisify(execFile)("taskset", ["--cpu-list", "--pid", String(process.pid)]);
  return stdout.slice(stdout.lastIndexOf(" ") + 1).trim();
}

async function setCores(pid: number, cores: string): Promise<void> {
  await promisify(execFile)("taskset", ["--all-tasks", "--cpu-list", "--pid", cores, String(pid)]);
}

/** A process that answers lines of JSON with lines of JSON. */
class Side {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor({ command, args, env }: Program, role: readonly string[]) {
    this.#child = spawn(command, [...args, ...role], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    this.#lines = createInterface(this.#child.stdout!);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it says next; rejects where it ends without saying anything. */
  async next(): Promise<unknown> {
    const controller = new AbortController();
    const { signal } = controller;
    try {
      return await Promise.race([
        once(this.#lines, "line", { signal }).then(([line]) => JSON.parse(line as string) as unknown),
        once(this.#child, "exit", { signal }).then(([code]) => {
          throw new Error(`${this.#child.spawnargs.join(" ")} ended with ${code}`);
        }),
      ]);
    } finally {
      controller.abort();
    }
  }

  async ask(question: WireWindow | Record<string, never>): Promise<WireReport> {
    this.#child.stdin!.write(`${JSON.stringify(question)}\n`);
    return (await this.next()) as WireReport;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
