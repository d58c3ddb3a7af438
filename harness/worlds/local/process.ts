import { setTimeout as sleep } from "node:timers/promises";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { FromNode, ToNode } from "../../../services/control.ts";
import { Conversation } from "../live/conversation.ts";
import type { Guardian } from "../live/guardian.ts";
import type { NodeLife, Reply, ReplyOf } from "../live/node.ts";
import { isStopped } from "../live/process-table.ts";
import { startProgram, type RunningProgram } from "./program.ts";

export interface NodeProcessOptions {
  /** "orders/0" */
  readonly node: string;
  readonly program: string;
  /** The directory of the node's disk: it outlives the node's processes. */
  readonly disk: string;
  readonly guardian: Guardian;
  readonly onRecords: (events: readonly RuntimeEvent[]) => void;
}

/** A process stops within a few microseconds of SIGSTOP; on a busy machine, a little later. */
const pauseWithinMs = 1_000;

/** One life of a node: a process of its own, reached over IPC. */
export class NodeProcess implements NodeLife {
  readonly #program: RunningProgram;
  readonly #conversation: Conversation;
  readonly ended: Promise<string>;

  constructor({ node, program, disk, guardian, onRecords }: NodeProcessOptions) {
    const conversation = new Conversation(node, onRecords);
    this.#conversation = conversation;
    this.#program = startProgram({
      args: [program],
      env: { FLYBALL_CONTROL: "ipc", FLYBALL_DISK: disk },
      guardian,
      onMessage: (message) => conversation.hear(message as FromNode),
      onText: (text) => conversation.print(text),
    });
    this.ended = this.#program.ended.then((how) => conversation.end(how));
  }

  get lastWords(): string {
    return this.#conversation.lastWords;
  }

  send(message: ToNode): void {
    const { child } = this.#program;
    if (this.#conversation.isOver || !child.connected) return;
    // An error means that the process is ending, which is seen elsewhere.
    child.send(message, () => undefined);
  }

  ask<Type extends Reply>(message: ToNode, reply: Type): Promise<ReplyOf<Type>> {
    const answer = this.#conversation.expect(reply);
    this.send(message);
    return answer;
  }

  kill(): void {
    this.#program.child.kill("SIGKILL");
  }

  async pause(): Promise<void> {
    const { child } = this.#program;
    const { pid } = child;
    child.kill("SIGSTOP");
    if (pid === undefined || process.platform !== "linux") return;
    const untilMs = performance.now() + pauseWithinMs;
    while (!isStopped(pid) && performance.now() < untilMs) await sleep(1);
  }

  async resume(): Promise<void> {
    this.#program.child.kill("SIGCONT");
  }
}
