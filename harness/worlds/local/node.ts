import type { Clock } from "../../../runtime/ports/clock.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import { controlVersion, type DialMap } from "../../../services/control.ts";
import type { NodePlan } from "../../scenario/plan.ts";
import { WorldError } from "../error.ts";
import type { FleetNode, WorldOptions } from "../world.ts";
import type { Guardian } from "./guardian.ts";
import { loopback } from "./ports.ts";
import { isStopped } from "./process-table.ts";
import { NodeProcess } from "./process.ts";

export interface LocalNodeOptions {
  readonly plan: NodePlan;
  /** The program's configuration, with the addresses of the infrastructure. */
  readonly config: unknown;
  readonly port: number;
  /** Whom it reaches through a proxy. */
  readonly dial: DialMap;
  /** The directory of its disk: it outlives the node's processes. */
  readonly disk: string;
  readonly clock: Clock;
  /** The node's own stream. */
  readonly random: Random;
  readonly guardian: Guardian;
  readonly world: Pick<WorldOptions, "onEvents" | "onGap" | "onExit">;
  /** Hears that its process is gone, or serves again: the proxies that lead to it follow. */
  readonly onAlive: (isAlive: boolean) => Promise<void>;
}

/** A process has this long to listen, and then as long to get ready. */
const readyWithinUs = 15_000_000;
/** A graceful stop that takes longer is ended by SIGKILL. */
const drainWithinUs = 10_000_000;
/** The same for a process that has nothing left to do. */
const stopWithinUs = 1_000_000;
/** How long a live node may take to hand over its records. */
const collectWithinUs = 5_000_000;
/** A process stops within a few microseconds of SIGSTOP; on a busy machine, a little later. */
const pauseWithinUs = 1_000_000;

/** One node of a fleet of processes: an address, a disk, and the process that runs there now. */
export class LocalNode implements FleetNode {
  readonly id: string;
  readonly #options: LocalNodeOptions;
  #state: FleetNode["state"] = "stopped";
  #process: NodeProcess | undefined;
  #isReady = false;
  /** The run is over: nothing is started any more. */
  #isClosed = false;
  #lives = 0;
  /** When the last event happened that was handed over. */
  #heardUs: number;

  constructor(options: LocalNodeOptions) {
    this.id = options.plan.id;
    this.#options = options;
    this.#heardUs = options.clock.nowUs();
  }

  get state(): FleetNode["state"] {
    return this.#state;
  }

  get address(): string {
    return `${loopback}:${this.#options.port}`;
  }

  /** Starts a process. Resolves when it listens; then `go` takes it to work. */
  async start(): Promise<void> {
    if (this.#isClosed)
      throw new WorldError(`the run is over: ${this.id} isn't started again`, { code: "UNAVAILABLE" });
    const { plan, config, dial, disk, clock, random, guardian, world } = this.#options;
    const process = new NodeProcess({
      node: this.id,
      program: plan.program,
      disk,
      guardian,
      onRecords: (events) => {
        this.#heardUs = lastOf(events) ?? this.#heardUs;
        world.onEvents(this.id, events);
      },
    });
    this.#process = process;
    this.#state = "running";
    this.#isReady = false;
    this.#heardUs = clock.nowUs();
    void process.ended.then((why) => this.#ended(process, why));
    const listening = process.ask(
      {
        type: "start",
        version: controlVersion,
        node: this.id,
        program: plan.program,
        config,
        seed: random.fork(`life ${this.#lives++}`).uint32(),
        listen: this.address,
        dial,
      },
      "listening",
    );
    await this.#inTime(process, listening);
    await this.#options.onAlive(true);
  }

  /** Registers and gets ready. */
  async go(): Promise<void> {
    const process = this.#running();
    await this.#inTime(process, process.ask({ type: "go" }, "ready"));
    this.#isReady = true;
  }

  async kill(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#state = "killed";
    process.signal("SIGKILL");
    await this.#gone(process);
  }

  async pause(): Promise<void> {
    const process = this.#process;
    if (process === undefined || this.#state !== "running") return;
    this.#state = "paused";
    process.signal("SIGSTOP");
    const { clock } = this.#options;
    const untilUs = clock.nowUs() + pauseWithinUs;
    while (process.pid !== undefined && !isStopped(process.pid) && clock.nowUs() < untilUs) {
      if (globalThis.process.platform !== "linux") break;
      await clock.sleep(1_000);
    }
  }

  async resume(): Promise<void> {
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#process?.signal("SIGCONT");
  }

  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    await this.resume();
    const drained = process.ask({ type: "drain" }, "drained").catch(() => undefined);
    await this.#within(drainWithinUs, drained);
    await this.#end(process);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
    await this.go();
  }

  async slow(factor: number): Promise<void> {
    this.#process?.send({ type: "slow", factor });
  }

  async drive(drive: Parameters<FleetNode["drive"]>[0]): Promise<void> {
    // A dead node makes no more calls: that is an end too.
    await this.#process?.ask({ type: "drive", drive }, "driven").catch(() => undefined);
  }

  async collect(): Promise<void> {
    const process = this.#process;
    if (process === undefined || this.#state !== "running") return;
    const collected = process.ask({ type: "collect" }, "collected").catch(() => undefined);
    await this.#within(collectWithinUs, collected);
  }

  /** Ends the process without ceremony, whatever its state: the run is over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const process = this.#process;
    if (process === undefined) return;
    await this.resume();
    await this.#end(process);
  }

  /** Ends the process now; nobody waits for it any longer. */
  abandon(): void {
    if (this.#process === undefined) return;
    this.#state = "killed";
    this.#process.signal("SIGKILL");
  }

  async #end(process: NodeProcess): Promise<void> {
    this.#state = "stopped";
    process.send({ type: "stop" });
    if (!(await this.#within(stopWithinUs, process.ended))) process.signal("SIGKILL");
    await this.#gone(process);
  }

  /** Whether it happened in time. */
  async #within(us: number, happened: Promise<unknown>): Promise<boolean> {
    let cancel = (): void => undefined;
    const late = new Promise<boolean>((resolve) => {
      cancel = this.#options.clock.after(us, () => resolve(false));
    });
    try {
      return await Promise.race([happened.then(() => true), late]);
    } finally {
      cancel();
    }
  }

  /** Waits for a step of the start-up; a process that is late is ended. */
  async #inTime(process: NodeProcess, step: Promise<unknown>): Promise<void> {
    if (await this.#within(readyWithinUs, step)) return;
    const printed = process.lastWords;
    await this.kill();
    throw new WorldError(
      `node ${this.id} wasn't ready within ${readyWithinUs / 1e6} s${printed === "" ? "" : `; the last that it printed:\n${printed}`}`,
      { code: "NOT_READY", hint: "what it waits for isn't there, or this machine is too busy for so many processes" },
    );
  }

  #running(): NodeProcess {
    if (this.#process === undefined) {
      throw new WorldError(`node ${this.id} doesn't run`, { code: "NOT_READY" });
    }
    return this.#process;
  }

  /** Waits until a process is gone and everybody knows. */
  async #gone(process: NodeProcess): Promise<void> {
    await process.ended;
    await this.#options.onAlive(false);
  }

  #ended(process: NodeProcess, why: string): void {
    if (process !== this.#process) return;
    const { clock, world } = this.#options;
    const isExpected = this.#state === "stopped" || this.#state === "killed";
    this.#process = undefined;
    // It reports every 100 ms at most: what happened since then went with it.
    if (this.#state !== "stopped") world.onGap(this.id, this.#heardUs, clock.nowUs());
    if (isExpected) return;
    this.#state = "killed";
    // Until it is ready, whoever starts it is told.
    if (this.#isReady) world.onExit(this.id, clock.nowUs(), why);
    // Who opens a listener again is told when that fails; nothing is opened here.
    void this.#options.onAlive(false);
  }
}

function lastOf(events: readonly RuntimeEvent[]): number | undefined {
  return events.at(-1)?.atUs;
}
