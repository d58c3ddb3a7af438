import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { FromNode, ToNode } from "../../../services/control.ts";
import { Conversation } from "../live/conversation.ts";
import type { Guardian } from "../live/guardian.ts";
import type { NodeLife, Reply, ReplyOf } from "../live/node.ts";
import { isStopped } from "../live/process-table.ts";

export interface NodeProcessOptions {
  /** "orders/0" */
  readonly node: string;
  readonly program: string;
  /** The directory of the node's disk: it outlives the node's processes. */
  readonly disk: string;
  readonly guardian: Guardian;
  readonly onRecords: (events: readonly RuntimeEvent[]) => void;
}

const main = fileURLToPath(new URL("../../../services/main.ts", import.meta.url));
const compileCache = fileURLToPath(new URL("../../../.flyball/cache", import.meta.url));

/** A process stops within a few microseconds of SIGSTOP; on a busy machine, a little later. */
const pauseWithinMs = 1_000;

/** One life of a node: a process of its own, reached over IPC. */
export class NodeProcess implements NodeLife {
  readonly #child: ChildProcess;
  readonly #options: NodeProcessOptions;
  readonly #conversation: Conversation;
  readonly ended: Promise<string>;

  constructor(options: NodeProcessOptions) {
    this.#options = options;
    this.#conversation = new Conversation(options.node, options.onRecords);
    // Its own process group: Ctrl-C in a terminal is for the harness alone. Its own environment: what a node does depends on
    // its configuration, and not on a proxy or an inspector that somebody has set up for other programs.
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, options.program], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: {
        PATH: process.env["PATH"],
        FLYBALL_CONTROL: "ipc",
        FLYBALL_DISK: options.disk,
        NODE_COMPILE_CACHE: compileCache,
      },
    });
    this.#child = child;
    if (child.pid !== undefined) options.guardian.process(child.pid);
    child.on("message", (message: FromNode) => this.#conversation.hear(message));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.#conversation.print(text));
    }
    this.ended = this.#untilEnded();
  }

  get lastWords(): string {
    return this.#conversation.lastWords;
  }

  send(message: ToNode): void {
    if (this.#conversation.isOver || !this.#child.connected) return;
    // An error means that the process is ending, which is seen elsewhere.
    this.#child.send(message, () => undefined);
  }

  ask<Type extends Reply>(message: ToNode, reply: Type): Promise<ReplyOf<Type>> {
    const answer = this.#conversation.expect(reply);
    this.send(message);
    return answer;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async pause(): Promise<void> {
    const { pid } = this.#child;
    this.#child.kill("SIGSTOP");
    if (pid === undefined || process.platform !== "linux") return;
    const untilMs = performance.now() + pauseWithinMs;
    while (!isStopped(pid) && performance.now() < untilMs) await sleep(1);
  }

  async resume(): Promise<void> {
    this.#child.kill("SIGCONT");
  }

  async #untilEnded(): Promise<string> {
    const child = this.#child;
    const failedToStart = await new Promise<Error | undefined>((resolve) => {
      // What it sent last may still be in the channel when it has ended already.
      let isGone = false;
      let isSilent = false;
      const check = (): void => {
        if (isGone && isSilent) resolve(undefined);
      };
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
    if (child.pid !== undefined) this.#options.guardian.gone(child.pid);
    const { exitCode, signalCode } = child;
    const how = signalCode === null ? `it ended with exit code ${exitCode}` : `it was ended by ${signalCode}`;
    return this.#conversation.end(
      failedToStart === undefined ? how : `it couldn't be started: ${failedToStart.message}`,
    );
  }
}
