import type { Clock } from "../../../runtime/ports/clock.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { TlsIdentity } from "../../../runtime/security/tls-identity.ts";
import type { Note } from "../../../runtime/telemetry/span.ts";
import { controlVersion, type DialMap, type FromNode, type ToNode, type Tracing } from "../../../services/control.ts";
import type { Disturbance } from "../../../services/disturbance.ts";
import type { DiskFault } from "../../../services/faulty-disk.ts";
import type { ClockSkew } from "../../../services/skewed-clock.ts";
import type { NodePlan, Plan } from "../../scenario/plan.ts";
import { BrokenMachine } from "../broken-machine.ts";
import { WorldError } from "../error.ts";
import type { Ending, FleetNode, WorldOptions } from "../world.ts";

/** What a node answers, beside its records. */
export type Reply = Exclude<FromNode["type"], "records" | "failed">;
export type ReplyOf<Type extends Reply> = Extract<FromNode, { readonly type: Type }>;

/** One life of a node, from its start to its end: a process, or a container. */
export interface NodeLife {
  /** Resolves with how once it is gone and everything that it sent was heard. */
  readonly ended: Promise<Ending>;
  /** The last lines that it printed. */
  readonly lastWords: string;
  send(message: ToNode): void;
  /** Sends a message and waits for its answer. Rejects when the life ends first. */
  ask<Type extends Reply>(message: ToNode, reply: Type): Promise<ReplyOf<Type>>;
  /** Ends it at once; `ended` says when that is so. */
  kill(): void;
  /** Freezes it. Resolves when it stands still. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

export interface LiveNodeOptions {
  readonly plan: NodePlan;
  /** The program's configuration, with the addresses of the infrastructure. */
  readonly config: unknown;
  /** Absent: its calls aren't traced. */
  readonly tracing?: Tracing | undefined;
  /** What the timeline breaks of machines. */
  readonly watched?: Plan["watched"];
  /** Absent: it talks without TLS. */
  readonly tls?: TlsIdentity | undefined;
  /** Where it listens, and, where that isn't what others dial, what it registers. */
  readonly listen: string;
  readonly advertise?: string | undefined;
  readonly isExposed?: boolean | undefined;
  /** Takes it off its network and brings it back, where the world can. */
  readonly network?: { disconnect(): Promise<void>; reconnect(): Promise<void> } | undefined;
  /** "host:port" where it serves metrics; absent: it counts nothing. */
  readonly metrics?: string | undefined;
  /** Its work is done, in order: what has to be seen of it before it ends. */
  readonly beforeEnd?: (() => Promise<void>) | undefined;
  /** Whom it reaches through a proxy. */
  readonly dial: DialMap;
  readonly clock: Clock;
  /** It has this long to listen, and then as long to get ready (µs). */
  readonly readyWithinUs: number;
  /** The node's own stream. */
  readonly random: Random;
  readonly world: Pick<WorldOptions, "onEvents" | "onGap" | "onExit">;
  /** Begins a life; `onRecords` hears what it reports. */
  readonly launch: (hears: {
    readonly onRecords: (events: readonly RuntimeEvent[]) => void;
  }) => NodeLife | Promise<NodeLife>;
  /** Hears that its life has ended, or that it serves again: the proxies that lead to it follow. */
  readonly onAlive: (isAlive: boolean) => Promise<void>;
}

/** A graceful stop that takes longer is ended by SIGKILL. */
const drainWithinUs = 10_000_000;
/** The same for a process that has nothing left to do. */
const stopWithinUs = 1_000_000;
/** How long a live node may take to find out how transactions stand. */
const auditWithinUs = 10_000_000;
/** How long a live node may take to come to rest: one that registers again waits for its registry. */
const settleWithinUs = 5_000_000;
/** How long a live node may take to hand over its records. */
const collectWithinUs = 5_000_000;

/** One node of a live fleet: an address, a disk, and the life that it leads there now. */
export class LiveNode implements FleetNode {
  readonly id: string;
  readonly #options: LiveNodeOptions;
  #state: FleetNode["state"] = "stopped";
  #life: NodeLife | undefined;
  /** Why its last life ended, where nobody had asked for it. */
  #endedBy: string | undefined;
  #isReady = false;
  #isDisconnected = false;
  /** The run is over: nothing is started any more. */
  #isClosed = false;
  #lives = 0;
  #disturbances = 0;
  readonly #machine: BrokenMachine;
  /** When the last event happened that was handed over. */
  #heardUs: number;

  constructor(options: LiveNodeOptions) {
    this.id = options.plan.id;
    this.#options = options;
    this.#heardUs = options.clock.nowUs();
    this.#machine = new BrokenMachine(options, async (machine) => {
      const told = this.#life?.ask({ type: "machine", machine }, "machine.set").catch(() => undefined);
      if (told !== undefined) await this.#within(settleWithinUs, told);
    });
  }

  get address(): string {
    return this.#options.advertise ?? this.#options.listen;
  }

  get state(): FleetNode["state"] {
    return this.#state;
  }

  /** Begins a life. Resolves when it listens; then `go` takes it to work. */
  async start(): Promise<void> {
    if (this.#isClosed)
      throw new WorldError(`the run is over: ${this.id} isn't started again`, { code: "UNAVAILABLE" });
    const { plan, config, tracing, tls, listen, advertise, isExposed, metrics, dial, clock, random, launch, world } =
      this.#options;
    const life = await launch({
      onRecords: (events) => {
        this.#heardUs = lastOf(events) ?? this.#heardUs;
        world.onEvents(this.id, events);
      },
    });
    this.#life = life;
    this.#endedBy = undefined;
    this.#state = "running";
    this.#isReady = false;
    this.#heardUs = clock.nowUs();
    void life.ended.then((ending) => this.#ended(life, ending));
    // The run was over before it began.
    if (this.#isClosed) return void (await this.#end(life));
    const listening = life.ask(
      {
        type: "start",
        version: controlVersion,
        node: this.id,
        program: plan.program,
        config,
        seed: random.fork(`life ${this.#lives++}`).uint32(),
        listen,
        ...(advertise !== undefined && { advertise }),
        ...(isExposed !== undefined && { isExposed }),
        ...(metrics !== undefined && { metrics }),
        dial,
        ...(tracing && { tracing }),
        ...(this.#machine.state && { machine: this.#machine.state }),
        ...(tls && { tls }),
      },
      "listening",
    );
    await this.#inTime(life, listening);
    await this.#options.onAlive(true);
  }

  /** Registers and gets ready. */
  async go(): Promise<void> {
    const life = this.#running();
    await this.#inTime(life, life.ask({ type: "go" }, "ready"));
    this.#isReady = true;
  }

  async kill(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#state = "killed";
    life.kill();
    await this.#gone(life);
  }

  async pause(): Promise<void> {
    if (this.#life === undefined || this.#state !== "running") return;
    this.#state = "paused";
    await this.#life.pause();
  }

  async resume(): Promise<void> {
    if (this.#state !== "paused") return;
    this.#state = "running";
    await this.#life?.resume();
  }

  async disconnect(): Promise<void> {
    this.#isDisconnected = true;
    await this.#network().disconnect();
  }

  async reconnect(): Promise<void> {
    if (!this.#isDisconnected) return;
    await this.#network().reconnect();
    this.#isDisconnected = false;
  }

  async stop(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    await this.resume();
    const drained = life.ask({ type: "drain" }, "drained").catch(() => undefined);
    if (await this.#within(drainWithinUs, drained)) await this.#options.beforeEnd?.();
    await this.#end(life);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
    await this.go();
  }

  async slow(factor: number): Promise<void> {
    this.#life?.send({ type: "slow", factor });
  }

  async disturb(disturbance: Disturbance): Promise<() => Promise<void>> {
    const id = this.#disturbances++;
    const life = this.#running();
    await life.ask({ type: "disturb", id, disturbance }, "disturbed");
    return async () => {
      if (life !== this.#life) return;
      const settled = life.ask({ type: "settle", id }, "settled").catch(() => undefined);
      await this.#within(settleWithinUs, settled);
    };
  }

  skew(skew: ClockSkew): Promise<() => Promise<void>> {
    return this.#machine.skew(skew);
  }

  breakDisk(fault: DiskFault): Promise<() => Promise<void>> {
    return this.#machine.breakDisk(fault);
  }

  async drive(drive: Parameters<FleetNode["drive"]>[0]): Promise<void> {
    // A dead node makes no more calls: that is an end too.
    await this.#life?.ask({ type: "drive", drive }, "driven").catch(() => undefined);
  }

  annotate(note: Note): void {
    this.#life?.send({ type: "annotate", note });
  }

  async collect(): Promise<void> {
    const life = this.#life;
    if (life === undefined || this.#state !== "running") return;
    const collected = life.ask({ type: "collect" }, "collected").catch(() => undefined);
    await this.#within(collectWithinUs, collected);
  }

  async audit(xids: readonly string[]): Promise<void> {
    const life = this.#life;
    if (life === undefined || this.#state !== "running") return;
    const audited = life.ask({ type: "audit", xids }, "audited").catch(() => undefined);
    await this.#within(auditWithinUs, audited);
  }

  /** Ends the process without ceremony, whatever its state: the run is over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const life = this.#life;
    try {
      await this.resume();
      if (life !== undefined) await this.#end(life);
    } finally {
      // Also of one that is dead by now: its place on the network may be another run's next.
      await this.reconnect();
    }
  }

  /** Ends the process now; nobody waits for it any longer. */
  abandon(): void {
    if (this.#life === undefined) return;
    this.#state = "killed";
    this.#life.kill();
  }

  async #end(life: NodeLife): Promise<void> {
    this.#state = "stopped";
    life.send({ type: "stop" });
    if (!(await this.#within(stopWithinUs, life.ended))) life.kill();
    await this.#gone(life);
  }

  #network(): NonNullable<LiveNodeOptions["network"]> {
    const { network } = this.#options;
    if (network !== undefined) return network;
    throw new WorldError(`node ${this.id} has no network of its own`, { code: "UNAVAILABLE" });
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
  async #inTime(life: NodeLife, step: Promise<unknown>): Promise<void> {
    const { readyWithinUs } = this.#options;
    if (await this.#within(readyWithinUs, step)) return;
    const printed = life.lastWords;
    await this.kill();
    throw new WorldError(
      `node ${this.id} wasn't ready within ${readyWithinUs / 1e6} s${printed === "" ? "" : `; the last that it printed:\n${printed}`}`,
      { code: "NOT_READY", hint: "what it waits for isn't there, or this machine is too busy for so many processes" },
    );
  }

  #running(): NodeLife {
    if (this.#life === undefined) {
      throw new WorldError(`node ${this.id}${this.#endedBy === undefined ? " doesn't run" : `: ${this.#endedBy}`}`, {
        code: "NOT_READY",
      });
    }
    return this.#life;
  }

  /** Waits until a process is gone and everybody knows. */
  async #gone(life: NodeLife): Promise<void> {
    await life.ended;
    await this.#options.onAlive(false);
  }

  #ended(life: NodeLife, ending: Ending): void {
    if (life !== this.#life) return;
    const { clock, world } = this.#options;
    const isExpected = this.#state === "stopped" || this.#state === "killed";
    this.#life = undefined;
    // It reports every 100 ms at most: what happened since then went with it.
    if (this.#state !== "stopped") world.onGap(this.id, this.#heardUs, clock.nowUs());
    if (isExpected) return;
    this.#endedBy = ending.how;
    this.#state = "killed";
    // Until it is ready, whoever starts it is told.
    if (this.#isReady) world.onExit(this.id, clock.nowUs(), ending);
    // Nothing is opened here that could fail, and where the proxies themselves are gone nobody is refused by them.
    this.#options.onAlive(false).catch(() => undefined);
  }
}

function lastOf(events: readonly RuntimeEvent[]): number | undefined {
  return events.at(-1)?.atUs;
}
