import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePorts, loopback } from "../free-ports.ts";

/** For tests: a program of the fleet as a process of its own, which can be paused, killed and started again where it was. */
export class TestProgram {
  readonly #args: readonly string[];
  readonly #disk = mkdtempSync(join(tmpdir(), "flyball-test-"));
  #process: ChildProcess | undefined;
  address = "";

  private constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** `main` is the program's file; it is told `args`, where to listen and where its disk is. Resolves when it listens. */
  static async start(main: string, ...args: readonly string[]): Promise<TestProgram> {
    const program = new TestProgram([main, ...args]);
    // One that nobody else gets while it is away.
    const [port] = await freePorts(1);
    program.address = `${loopback}:${port}`;
    await program.#start();
    return program;
  }

  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async restart(): Promise<void> {
    await this.#end();
    await this.#start();
  }

  async close(): Promise<void> {
    await this.#end();
    rmSync(this.#disk, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const child = spawn(process.execPath, [...this.#args, "--listen", this.address, "--disk", this.#disk], {
      stdio: ["ignore", "pipe", "inherit"],
      // What was compiled before is read again instead of compiled.
      env: { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] },
    });
    this.#process = child;
    this.address = await new Promise<string>((resolve, reject) => {
      let printed = "";
      child.stdout.on("data", (chunk: Buffer) => {
        printed += chunk.toString();
        const listening = / listens at (\S+)/.exec(printed);
        if (listening !== null) resolve(listening[1]!);
      });
      child.once("exit", () => reject(new Error(`the program ended: ${printed}`)));
    });
  }

  async #end(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }
}
