import type { Clock } from "../runtime/ports/clock.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import type { NodePhaseChange, RuntimeEvent } from "../runtime/telemetry/events.ts";
import { controlVersion, type FromNode, type ToNode } from "./control.ts";
import { LagMeter } from "./lag.ts";
import { ConfigError, type NodeContext, type RunningService, type ServiceProgram } from "./service.ts";

export interface NodeOptions {
  /**
   * Pause between two looks at how late timers fire, in milliseconds; 0 measures nothing, for worlds whose time is never late.
   * Default 50.
   */
  readonly lagTickMs?: number | undefined;
}

/**
 * What a world gives to a node that starts. `telemetry` is the node's own, which sends what it hears in batches; a world that
 * has a shorter way for events may take that one instead, in the context's `telemetry` and `calls`.
 */
export type MakeContext = (start: StartMessage, telemetry: Telemetry) => NodeContext | Promise<NodeContext>;

export type StartMessage = Extract<ToNode, { readonly type: "start" }>;

/** A node's control loop: it obeys a harness's messages, and sends its own. */
export interface ControlledNode {
  handle(message: ToNode): void;
}

/** Events are sent at the latest after this long, or when so many have gathered. */
const batchUs = 100_000;
const batchMax = 1000;

/**
 * The control loop of any node, in any world: starts `program`, takes it through its life as `control.ts` describes, and sends
 * what it does and what happens to it. Whatever goes wrong is sent as `failed`, and ends the node.
 */
export function createNode(
  program: ServiceProgram,
  makeContext: MakeContext,
  send: (message: FromNode) => void,
  options: NodeOptions = {},
): ControlledNode {
  return new Node(program, makeContext, send, options);
}

class Node implements ControlledNode {
  readonly #program: ServiceProgram;
  readonly #makeContext: MakeContext;
  readonly #send: (message: FromNode) => void;
  readonly #options: NodeOptions;
  /** What is under way before the node is ready: `go` waits for `start`, an end for both. */
  #starting: Promise<void> = Promise.resolve();
  #context: NodeContext | undefined;
  #service: RunningService | undefined;
  #batch: RuntimeEvent[] = [];
  #disarmBatch: (() => void) | undefined;
  #lag: LagMeter | undefined;
  #slowness = 1;
  #isOver = false;

  constructor(
    program: ServiceProgram,
    makeContext: MakeContext,
    send: (message: FromNode) => void,
    options: NodeOptions,
  ) {
    this.#program = program;
    this.#makeContext = makeContext;
    this.#send = send;
    this.#options = options;
  }

  handle(message: ToNode): void {
    if (this.#isOver) return;
    switch (message.type) {
      case "start":
        this.#then(() => this.#start(message));
        break;
      case "go":
        this.#then(() => this.#go());
        break;
      case "drive":
        this.#guard(async () => {
          await this.#running().drive?.(message.drive);
          this.#answer({ type: "driven" });
        });
        break;
      case "slow":
        this.#slowness = message.factor;
        break;
      case "drain":
        this.#guard(async () => {
          await this.#service?.drain();
          this.#answer({ type: "drained" });
        });
        break;
      case "collect":
        this.#lag?.flush();
        this.#flush();
        this.#answer({ type: "collected" });
        break;
      case "stop":
        this.#guard(() => this.#stop());
        break;
      case "dial":
        // Addresses are the transport's business: the host hears of them before this loop does.
        break;
    }
  }

  async #start(start: StartMessage): Promise<void> {
    const { version }: { readonly version: number } = start;
    if (version !== controlVersion) {
      throw new ConfigError(`control protocol ${version}`, `this node speaks ${controlVersion}`);
    }
    if (this.#context !== undefined) throw new ConfigError(`${start.node} has been started already`);
    const made = this.#makeContext(start, { emit: (event) => this.#emit(event) });
    // A simulated node's is there at once, and its start takes no turn more than it needs.
    const given = made instanceof Promise ? await made : made;
    const context: NodeContext = { ...given, work: (us) => given.work(us * this.#slowness) };
    this.#context = context;
    const { lagTickMs = 50 } = this.#options;
    if (lagTickMs > 0) this.#lag = new LagMeter(context.clock, context.telemetry, lagTickMs);
    const config = this.#program.parse(start.config);
    this.#service = await this.#program.start(context, config);
    this.#report("listening");
    this.#answer({ type: "listening", address: this.#service.address });
  }

  async #go(): Promise<void> {
    await this.#running().go();
    this.#report("ready");
    this.#answer({ type: "ready" });
  }

  async #stop(): Promise<void> {
    await this.#service?.stop();
    this.#end({ type: "stopped" });
  }

  /** After what was begun before, so that a fast harness needn't wait between `start` and `go`. */
  #then(step: () => Promise<void>): void {
    this.#starting = this.#starting.then(() => (this.#isOver ? undefined : this.#guarded(step)));
  }

  #guard(step: () => Promise<void>): void {
    void this.#guarded(step);
  }

  async #guarded(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      await this.#fail(error);
    }
  }

  #running(): RunningService {
    if (this.#service === undefined) throw new ConfigError("the node hasn't been started", "send start first");
    return this.#service;
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#isOver) return;
    const message = error instanceof Error ? error.message : String(error);
    const hint = (error as { readonly hint?: unknown } | null | undefined)?.hint;
    this.#end({ type: "failed", message, ...(typeof hint === "string" && { hint }) });
    await this.#service?.stop().catch(() => undefined);
  }

  #end(last: FromNode): void {
    if (this.#isOver) return;
    this.#report("stopped");
    this.#answer(last);
    this.#isOver = true;
    this.#lag?.stop();
    this.#disarmBatch?.();
  }

  /** Events first: who hears an answer has heard of everything before it. */
  #answer(message: FromNode): void {
    if (this.#isOver) return;
    this.#flush();
    this.#send(message);
  }

  #report(phase: NodePhaseChange["phase"]): void {
    const context = this.#context;
    context?.telemetry.emit({ type: "node", atUs: context.clock.nowUs(), phase });
  }

  #emit(event: RuntimeEvent): void {
    if (this.#isOver) return;
    if (this.#batch.push(event) >= batchMax) this.#flush();
    else this.#disarmBatch ??= this.#clock?.after(batchUs, () => this.#flush());
  }

  get #clock(): Clock | undefined {
    return this.#context?.clock;
  }

  #flush(): void {
    this.#disarmBatch?.();
    this.#disarmBatch = undefined;
    if (this.#batch.length === 0) return;
    const events = this.#batch;
    this.#batch = [];
    this.#send({ type: "records", events });
  }
}
