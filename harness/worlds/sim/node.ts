import { embeddedOnly } from "../../../runtime/ports/infrastructure.ts";
import { builtInPolicies } from "../../../runtime/call/client.ts";
import type { Clock } from "../../../runtime/ports/clock.ts";
import type { Random } from "../../../runtime/ports/random.ts";
import { createRandom } from "../../../runtime/random.ts";
import { CallLog } from "../../../runtime/telemetry/call-log.ts";
import type { RuntimeEvent } from "../../../runtime/telemetry/events.ts";
import type { Note } from "../../../runtime/telemetry/span.ts";
import { sample } from "../../../services/distribution.ts";
import { controlVersion, type FromNode, type ToNode, type Tracing } from "../../../services/control.ts";
import type { Disturbance } from "../../../services/disturbance.ts";
import { createNode, type ControlledNode } from "../../../services/node.ts";
import type { DiskFault } from "../../../services/faulty-disk.ts";
import { programs } from "../../../services/programs.ts";
import type { NodeContext } from "../../../services/service.ts";
import type { ClockSkew } from "../../../services/skewed-clock.ts";
import type { Machine } from "../../../services/machine.ts";
import type { NodePlan, Plan } from "../../scenario/plan.ts";
import { BrokenMachine } from "../broken-machine.ts";
import { WorldError } from "../error.ts";
import type { FleetNode, WorldOptions } from "../world.ts";
import { SimDisk } from "./disk.ts";
import type { Network, SimHost } from "./network.ts";
import { SimClock, SimProcess } from "./process.ts";
import { SimTransport } from "./transport.ts";

export interface SimNodeOptions {
  readonly plan: NodePlan;
  /** The program's configuration, with the addresses of the infrastructure. */
  readonly config: unknown;
  readonly tracing: Tracing | undefined;
  /** What the timeline breaks of machines. */
  readonly watched: Plan["watched"];
  /** Its connections prove that they are of its service: what is left of mutual TLS where nobody listens in. */
  readonly hasIdentity: boolean;
  /** The fleet's own clock, which no node's pause stops. */
  readonly clock: Clock;
  /** The node's number in the digest. */
  readonly number: number;
  readonly network: Network;
  /** "10.0.0.7" and its port. */
  readonly hostName: string;
  readonly port: number;
  readonly world: Pick<WorldOptions, "onEvents" | "onExit" | "sabotage">;
  /** Absent: there are none. */
  readonly modules: Modules | undefined;
}

/** The modules of the user's own, by their paths. */
export type Modules = (file: string) => Promise<unknown>;

type Reply = Exclude<FromNode["type"], "records" | "failed">;

interface Waiter {
  readonly reply: Reply;
  readonly resolve: () => void;
  readonly reject: (error: WorldError) => void;
}

/** Events that are handed over at once. */
const batchMax = 512;

/** The bounds of a live node, in virtual time. */
const readyWithinUs = 15_000_000;
const drainWithinUs = 10_000_000;
const auditWithinUs = 10_000_000;

/** One node of the simulated fleet: a machine with a disk, and the process that runs on it. */
export class SimNode implements FleetNode {
  readonly id: string;
  readonly address: string;
  readonly #options: SimNodeOptions;
  readonly #random: Random;
  readonly #host: SimHost;
  readonly #disk: SimDisk;
  readonly #machine: BrokenMachine;
  #process: SimProcess;
  #node: ControlledNode | undefined;
  #state: FleetNode["state"] = "stopped";
  #isReady = false;
  #lives = 0;
  #disturbances = 0;
  #waiters: Waiter[] = [];
  #events: RuntimeEvent[] = [];

  constructor(options: SimNodeOptions) {
    const { network, plan, number, hostName, port } = options;
    this.id = plan.id;
    this.address = `${hostName}:${port}`;
    this.#options = options;
    this.#random = network.engine.random.fork(`node ${plan.id}`);
    this.#process = new SimProcess(network.engine, number);
    this.#process.kill();
    this.#host = network.addHost(hostName, plan.id, this.#process);
    if (options.hasIdentity) this.#host.principal = plan.service;
    this.#disk = new SimDisk(this.#random.fork("disk"));
    this.#machine = new BrokenMachine(options, async (machine) => {
      if (!this.#process.isAlive) return;
      // One that dies of it has heard enough, and one that stands still hears of it when it goes on.
      const told = this.#ask({ type: "machine", machine }, "machine.set").catch(() => undefined);
      if (this.#state === "running") await told;
    });
  }

  get state(): FleetNode["state"] {
    return this.#state;
  }

  /** The present process has registered and does its work. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get host(): SimHost {
    return this.#host;
  }

  /** Starts a process. Resolves when it listens; then `go` takes it to work. */
  async start(): Promise<void> {
    const { network, number, config, plan, tracing } = this.#options;
    const process = new SimProcess(network.engine, number, (error) => this.#crashed(process, error));
    const life = `life ${this.#lives++}`;
    const random = this.#random.fork(life);
    // As in the other worlds: the same seed, so the same keys, and the same dice for balancers and pauses.
    const seed = random.uint32();
    this.#process = process;
    this.#host.process = process;
    this.#state = "running";
    const node = createNode(
      programs.get(plan.program)!,
      (_start, _telemetry, machine) => this.#context(process, createRandom(seed), machine),
      (message) => this.#heard(process, message),
      { lagTickMs: 0 },
    );
    this.#node = node;
    const listening = this.#expect("listening");
    const startUs = sample(network.parameters.startUs, random.fork("start"));
    process.after(startUs, () =>
      node.handle({
        type: "start",
        version: controlVersion,
        node: plan.id,
        program: plan.program,
        config,
        seed,
        listen: this.address,
        dial: {},
        ...(tracing && { tracing }),
        machine: this.#machine.state,
      }),
    );
    await listening;
  }

  /** Registers and gets ready. */
  async go(): Promise<void> {
    await this.#ask({ type: "go" }, "ready");
    this.#isReady = true;
  }

  async kill(): Promise<void> {
    if (this.#process.isAlive) this.#end("killed");
  }

  async pause(): Promise<void> {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#process.pause();
  }

  async resume(): Promise<void> {
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#process.resume();
  }

  async disconnect(): Promise<void> {
    this.#host.isDisconnected = true;
  }

  async reconnect(): Promise<void> {
    this.#host.isDisconnected = false;
  }

  async stop(): Promise<void> {
    if (!this.#process.isAlive) return;
    const process = this.#process;
    await this.resume();
    try {
      await this.#inTime(drainWithinUs, this.#ask({ type: "drain" }, "drained"));
      await this.#ask({ type: "stop" }, "stopped");
    } catch {
      // It died on the way: it is gone all the same.
      return;
    }
    if (process === this.#process && process.isAlive) this.#end("stopped");
  }

  async restart(): Promise<void> {
    if (this.#process.isAlive) await this.stop();
    await this.#inTime(readyWithinUs, this.start());
    await this.#inTime(readyWithinUs, this.go());
  }

  async slow(factor: number): Promise<void> {
    const node = this.#node;
    if (node !== undefined) this.#process.after(0, () => node.handle({ type: "slow", factor }));
  }

  async disturb(disturbance: Disturbance): Promise<() => Promise<void>> {
    const id = this.#disturbances++;
    const process = this.#process;
    await this.#ask({ type: "disturb", id, disturbance }, "disturbed");
    return async () => {
      if (process !== this.#process || !process.isAlive) return;
      await this.#ask({ type: "settle", id }, "settled").catch(() => undefined);
    };
  }

  skew(skew: ClockSkew): Promise<() => Promise<void>> {
    return this.#machine.skew(skew);
  }

  breakDisk(fault: DiskFault): Promise<() => Promise<void>> {
    return this.#machine.breakDisk(fault);
  }

  async drive(drive: Parameters<FleetNode["drive"]>[0]): Promise<void> {
    if (!this.#process.isAlive) return;
    // A dead node makes no more calls: that is an end too.
    await this.#ask({ type: "drive", drive }, "driven").catch(() => undefined);
  }

  annotate(note: Note): void {
    const node = this.#node;
    if (node !== undefined) this.#process.after(0, () => node.handle({ type: "annotate", note }));
  }

  async audit(xids: readonly string[]): Promise<void> {
    if (this.#state !== "running") return;
    const audited = this.#ask({ type: "audit", xids }, "audited").catch(() => undefined);
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.#options.clock.after(auditWithinUs, resolve)));
    await Promise.race([audited, late]);
    cancel();
  }

  async collect(): Promise<void> {
    this.flush();
  }

  /** Hands over the events so far. */
  flush(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#options.world.onEvents(this.id, events);
  }

  #context(process: SimProcess, random: Random, machine: Machine): NodeContext {
    const { network, world, modules } = this.#options;
    const clock = machine.clock(new SimClock(process));
    const telemetry = {
      emit: (event: RuntimeEvent): void => {
        if (!process.isAlive) return;
        if (this.#events.push(event) >= batchMax) this.flush();
      },
    };
    const transport = new SimTransport({
      network,
      host: this.#host,
      process,
      clock,
    });
    const context: NodeContext = {
      node: this.id,
      listen: this.address,
      clock,
      random,
      transport,
      disk: machine.disk(this.#disk.open(process), clock),
      telemetry,
      calls: new CallLog({ clock, telemetry }),
      policies: world.sabotage?.policies?.(this.id, builtInPolicies) ?? builtInPolicies,
      infrastructure: embeddedOnly,
      load: modules,
      work: (us) => clock.sleep(us),
      block: (us) => {
        process.pause();
        this.#options.clock.after(us, () => process.resume());
      },
    };
    return world.sabotage?.ports?.(this.id, context) ?? context;
  }

  #heard(process: SimProcess, message: FromNode): void {
    if (process !== this.#process || !process.isAlive) return;
    if (message.type === "records") {
      for (const event of message.events) this.#events.push(event);
      if (this.#events.length >= batchMax) this.flush();
    } else if (message.type === "failed") {
      this.#exited(message.hint === undefined ? message.message : `${message.message} (${message.hint})`);
    } else {
      const index = this.#waiters.findIndex(({ reply }) => reply === message.type);
      if (index >= 0) this.#waiters.splice(index, 1)[0]!.resolve();
    }
  }

  #crashed(process: SimProcess, error: unknown): void {
    if (process === this.#process)
      this.#exited(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }

  /** The process ended without being told to. */
  #exited(message: string): void {
    this.#end("killed", message);
    this.#options.world.onExit(this.id, this.#options.network.engine.now, { how: message });
  }

  #end(state: "stopped" | "killed", why: string = state): void {
    this.flush();
    this.#state = state;
    this.#isReady = false;
    this.#process.kill();
    this.#options.network.crash(this.#host);
    if (state === "killed") this.#disk.crash();
    this.#node = undefined;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) {
      reject(new WorldError(`node ${this.id} ended: ${why}`, { code: "NOT_READY" }));
    }
  }

  /** One that is paused on the way never answers: as in a live world, nobody waits for it for ever. */
  async #inTime(us: number, step: Promise<void>): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = this.#options.clock.after(us, () => {
        reject(new WorldError(`node ${this.id} didn't answer within ${us / 1e6} s`, { code: "NOT_READY" }));
        if (this.#process.isAlive) this.#end("killed");
      });
    });
    step.catch(() => undefined);
    try {
      await Promise.race([step, late]);
    } finally {
      cancel();
    }
  }

  async #ask(message: ToNode, reply: Reply): Promise<void> {
    const node = this.#node;
    if (node === undefined) throw new WorldError(`node ${this.id} doesn't run`, { code: "NOT_READY" });
    const answered = this.#expect(reply);
    // Through the process, so that a paused one hears it when it goes on.
    this.#process.after(0, () => node.handle(message));
    await answered;
  }

  #expect(reply: Reply): Promise<void> {
    return new Promise((resolve, reject) => this.#waiters.push({ reply, resolve, reject }));
  }
}
