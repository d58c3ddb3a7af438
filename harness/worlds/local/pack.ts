import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { ToNode } from "../../../services/control.ts";
import type { FromPack } from "../../../services/pack.ts";
import { WorldError } from "../error.ts";
import { Conversation } from "../live/conversation.ts";
import type { Guardian } from "../live/guardian.ts";
import type { NodeLife } from "../live/node.ts";
import type { NodeArguments } from "../live/programs.ts";
import { SpokenLife } from "../live/spoken-life.ts";
import type { Ending } from "../world.ts";
import { startProgram, type RunningProgram } from "./program.ts";

/** A process whose nodes have all ended does so itself within this time, when it is asked to. */
const endsWithinMs = 1_000;

/** A process that several nodes share. It runs from the first of their lives until it is closed. */
export class PackProcess {
  readonly #nodes: readonly string[];
  readonly #main: () => NodeArguments;
  /** Under which each node has its disk. */
  readonly #directory: string;
  readonly #guardian: Guardian;
  readonly #lives = new Map<string, PackedLife>();
  #program: RunningProgram | undefined;
  /** Whom the harness had to end, and everybody with it. */
  #overdue: string | undefined;

  constructor(options: {
    readonly nodes: readonly string[];
    /** What it runs, asked for when it starts. */
    readonly main: () => NodeArguments;
    readonly directory: string;
    readonly guardian: Guardian;
  }) {
    this.#nodes = options.nodes;
    this.#main = options.main;
    this.#directory = options.directory;
    this.#guardian = options.guardian;
  }

  /** A life of one of its nodes. */
  launch(node: string, onRecords: (events: readonly RuntimeEvent[]) => void): NodeLife {
    const program = (this.#program ??= this.#start());
    const life = new PackedLife(node, {
      onRecords,
      program,
      all: this.#nodes,
      onKill: () => (this.#overdue ??= node),
    });
    this.#lives.set(node, life);
    return life;
  }

  /** Ends it. Resolves when it is gone. */
  async close(): Promise<void> {
    const { child, ended } = this.#program ?? {};
    child?.kill("SIGTERM");
    const timer = setTimeout(() => child?.kill("SIGKILL"), endsWithinMs);
    await ended;
    clearTimeout(timer);
  }

  #start(): RunningProgram {
    const [first, last] = [this.#nodes[0]!, this.#nodes.at(-1)!];
    const program = startProgram({
      main: this.#main(),
      args: ["pack", `${first}…${last}`],
      env: { FLYBALL_CONTROL: "pack", FLYBALL_DISK: this.#directory },
      guardian: this.#guardian,
      onMessage: (message) => {
        const { node, message: said } = message as FromPack;
        this.#lives.get(node)?.conversation.hear(said);
        if (said.type === "stopped" || said.type === "failed") this.#lives.get(node)?.end("it ended");
      },
      onText: (text) => {
        for (const { conversation } of this.#lives.values()) conversation.print(text);
      },
    });
    void program.ended.then((how) => {
      this.#program = undefined;
      const why = this.#overdue === undefined ? how : `${this.#overdue} didn't answer in time and was ended`;
      this.#overdue = undefined;
      for (const life of this.#lives.values()) life.end(`${why}, the process of ${this.#nodes.length} nodes`);
    });
    return program;
  }
}

/** One life of a node that shares its process. */
class PackedLife extends SpokenLife {
  readonly #node: string;
  readonly #program: RunningProgram;
  readonly #all: readonly string[];
  readonly #onKill: () => void;
  #resolve!: (ending: Ending) => void;
  override readonly ended: Promise<Ending> = new Promise((resolve) => (this.#resolve = resolve));

  constructor(
    node: string,
    {
      onRecords,
      program,
      all,
      onKill,
    }: {
      readonly onRecords: (events: readonly RuntimeEvent[]) => void;
      readonly program: RunningProgram;
      readonly all: readonly string[];
      readonly onKill: () => void;
    },
  ) {
    super(new Conversation(node, onRecords));
    this.#node = node;
    this.#program = program;
    this.#all = all;
    this.#onKill = onKill;
  }

  /** It is over, as it said itself or as its process was seen to end. */
  end(how: string): void {
    if (!this.conversation.isOver) this.#resolve(this.conversation.end({ how }));
  }

  protected override carry(message: ToNode): void {
    this.#program.send({ node: this.#node, message });
  }

  /** A node that doesn't end when it is told to takes its process with it: the run is over then. */
  override kill(): void {
    this.#onKill();
    this.#program.child.kill("SIGKILL");
  }

  /** The plan gives a node that is to be paused a process of its own. */
  override async pause(): Promise<void> {
    throw new WorldError(`${this.#node} can't be paused: ${this.#all.length} nodes share its process`, {
      code: "UNAVAILABLE",
    });
  }

  override async resume(): Promise<void> {
    // It was never paused.
  }
}
