import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { FromNode, ToNode } from "../../../services/control.ts";
import { WorldError } from "../error.ts";
import type { Guardian } from "./guardian.ts";

export interface NodeProcessOptions {
  /** "orders/0" */
  readonly node: string;
  readonly program: string;
  /** The directory of the node's disk. */
  readonly disk: string;
  readonly guardian: Guardian;
  readonly onRecords: (events: readonly RuntimeEvent[]) => void;
}

/** What a node answers, beside its records. */
export type Reply = Exclude<FromNode["type"], "records" | "failed">;
export type ReplyOf<Type extends Reply> = Extract<FromNode, { readonly type: Type }>;

interface Waiter {
  readonly type: Reply;
  readonly resolve: (message: never) => void;
  readonly reject: (error: WorldError) => void;
}

const main = fileURLToPath(new URL("../../../services/main.ts", import.meta.url));
const compileCache = fileURLToPath(new URL("../../../.flyball/cache", import.meta.url));

/** The last of what a node printed that is kept for the message of its failure. */
const lastWordsMax = 4_000;

/** One life of a node, from its start to its end: a process of its own, reached over IPC. */
export class NodeProcess {
  readonly #child: ChildProcess;
  readonly #options: NodeProcessOptions;
  #waiters: Waiter[] = [];
  #failure: Extract<FromNode, { readonly type: "failed" }> | undefined;
  #printed = "";
  /** Why it ended, once it has. */
  #end: string | undefined;
  /** Resolves with the reason once the process is gone and everything that it sent was heard. */
  readonly ended: Promise<string>;

  constructor(options: NodeProcessOptions) {
    this.#options = options;
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
    child.on("message", (message: FromNode) => this.#hear(message));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#printed = (this.#printed + text).slice(-lastWordsMax);
      });
    }
    this.ended = this.#untilEnded();
  }

  /** Undefined when it couldn't even be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  send(message: ToNode): void {
    if (this.#end !== undefined || !this.#child.connected) return;
    // An error means that the process is ending, which is seen elsewhere.
    this.#child.send(message, () => undefined);
  }

  /** The next message of this type. Rejects when the process ends first. */
  expect<Type extends Reply>(type: Type): Promise<ReplyOf<Type>> {
    return new Promise((resolve, reject) => {
      if (this.#end === undefined) this.#waiters.push({ type, resolve, reject });
      else reject(this.#error(this.#end));
    });
  }

  /** Sends a message and waits for its answer. */
  ask<Type extends Reply>(message: ToNode, reply: Type): Promise<ReplyOf<Type>> {
    const answer = this.expect(reply);
    this.send(message);
    return answer;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #hear(message: FromNode): void {
    if (message.type === "records") {
      this.#options.onRecords(message.events);
    } else if (message.type === "failed") {
      this.#failure = message;
    } else {
      const index = this.#waiters.findIndex(({ type }) => type === message.type);
      if (index >= 0) this.#waiters.splice(index, 1)[0]!.resolve(message as never);
    }
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
    const end = failedToStart === undefined ? this.#describeEnd() : `it couldn't be started: ${failedToStart.message}`;
    this.#end = end;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(this.#error(end));
    return end;
  }

  #describeEnd(): string {
    const { exitCode, signalCode } = this.#child;
    if (this.#failure !== undefined) return this.#failure.message;
    const how = signalCode === null ? `it ended with exit code ${exitCode}` : `it was ended by ${signalCode}`;
    const lastWords = this.lastWords;
    return lastWords === "" ? how : `${how}; the last that it printed:\n${lastWords}`;
  }

  /** The last lines that it printed. */
  get lastWords(): string {
    return this.#printed.trimEnd().split("\n").slice(-12).join("\n");
  }

  #error(end: string): WorldError {
    return new WorldError(`node ${this.#options.node}: ${end}`, { code: "NOT_READY", hint: this.#failure?.hint });
  }
}
