import { setTimeout as sleep } from "node:timers/promises";

import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { FromNode, ToNode } from "../../../services/control.ts";
import { Conversation } from "../live/conversation.ts";
import type { Guardian } from "../live/guardian.ts";
import { isStopped } from "../live/process-table.ts";
import type { NodeArguments } from "../live/programs.ts";
import { SpokenLife } from "../live/spoken-life.ts";
import type { Ending } from "../world.ts";
import { startProgram, type RunningProgram } from "./program.ts";

export interface NodeProcessOptions {
  /** "orders/0" */
  readonly node: string;
  readonly program: string;
  readonly main: NodeArguments;
  /** The directory of the node's disk: it outlives the node's processes. */
  readonly disk: string;
  readonly guardian: Guardian;
  readonly onRecords: (events: readonly RuntimeEvent[]) => void;
}

/** A process stops within a few microseconds of SIGSTOP; on a busy machine, a little later. */
const pauseWithinMs = 1_000;

/** One life of a node: a process of its own, reached over IPC. */
export class NodeProcess extends SpokenLife {
  readonly #program: RunningProgram;
  override readonly ended: Promise<Ending>;

  constructor({ node, program, main, disk, guardian, onRecords }: NodeProcessOptions) {
    const conversation = new Conversation(node, onRecords);
    super(conversation);
    this.#program = startProgram({
      main,
      args: [program],
      env: { FLYBALL_CONTROL: "ipc", FLYBALL_DISK: disk },
      guardian,
      onMessage: (message) => conversation.hear(message as FromNode),
      onText: (text) => conversation.print(text),
    });
    this.ended = this.#program.ended.then((how) => conversation.end({ how }));
  }

  protected override carry(message: ToNode): void {
    this.#program.send(message);
  }

  override kill(): void {
    this.#program.child.kill("SIGKILL");
  }

  override async pause(): Promise<void> {
    const { child } = this.#program;
    const { pid } = child;
    child.kill("SIGSTOP");
    if (pid === undefined || process.platform !== "linux") return;
    const untilMs = performance.now() + pauseWithinMs;
    while (!isStopped(pid) && performance.now() < untilMs) await sleep(1);
  }

  override async resume(): Promise<void> {
    this.#program.child.kill("SIGCONT");
  }
}
