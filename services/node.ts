import type { Clock } from "../runtime/ports/clock.ts";
import type { InfrastructureTable, OpenRegistry } from "../runtime/ports/infrastructure.ts";
import type { Registry } from "../runtime/ports/registry.ts";
import type { Telemetry } from "../runtime/ports/telemetry.ts";
import type { NodePhaseChange, RuntimeEvent, RuleChange } from "../runtime/telemetry/events.ts";
import type { Note } from "../runtime/telemetry/span.ts";
import { Tracer } from "../runtime/telemetry/tracer.ts";
import { controlVersion, type FromNode, type ToNode, type Tracing } from "./control.ts";
import type { Disturbance, Settle } from "./disturbance.ts";
import { disturbProcess, Hang } from "./disturbed-process.ts";
import { LagMeter } from "./lag.ts";
import { Machine } from "./machine.ts";
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
 * has a shorter way for events may take that one instead, in the context's `telemetry` and `calls`. The node reaches its clock and its
 * disk through `machine`, by which a harness breaks them.
 */
export type MakeContext = (
  start: StartMessage,
  telemetry: Telemetry,
  machine: Machine,
) => NodeContext | Promise<NodeContext>;

export type StartMessage = Extract<ToNode, { readonly type: "start" }>;

/** A node's control loop: it obeys a harness's messages, and sends its own. */
export interface ControlledNode {
  handle(message: ToNode): void;
}

/** Events are sent at the latest after this long, or when so many have gathered. */
const batchUs = 100_000;
const batchMax = 1000;
/** A trace store that doesn't answer holds a node up for so long at most, when it is drained or collected and when it stops. */
const flushWithinMs = 2_000;
const closeWithinMs = 500;

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
  #machine: Machine | undefined;
  #slowness = 1;
  readonly #hang = new Hang();
  readonly #registries: Registry[] = [];
  readonly #disturbances = new Map<number, Settle>();
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
      case "audit":
        this.#guard(async () => {
          // Who can't tell now, because somebody else is away, is asked again.
          await this.#service?.audit?.(message.xids).catch(() => undefined);
          this.#answer({ type: "audited" });
        });
        break;
      case "disturb":
        this.#guard(async () => {
          this.#disturbances.set(message.id, await this.#disturb(message.disturbance));
          this.#answer({ type: "disturbed" });
        });
        break;
      case "settle":
        this.#guard(async () => {
          // An earlier life was disturbed, and that ended with it: nothing is left to settle.
          const settle = this.#disturbances.get(message.id);
          this.#disturbances.delete(message.id);
          await settle?.();
          this.#answer({ type: "settled" });
        });
        break;
      case "machine":
        this.#guard(async () => {
          await this.#machine?.become(message.machine);
          this.#answer({ type: "machine.set" });
        });
        break;
      case "drain":
        this.#guard(async () => {
          await this.#service?.drain();
          await this.#sendSpans();
          this.#answer({ type: "drained" });
        });
        break;
      case "annotate":
        this.#context?.tracer?.note(message.note);
        break;
      case "collect":
        this.#lag?.flush();
        this.#guard(async () => {
          await this.#sendSpans();
          this.#answer({ type: "collected" });
        });
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
    const telemetry: Telemetry = { emit: (event) => this.#emit(event) };
    const machine = new Machine(start.machine ?? {}, telemetry);
    const made = this.#makeContext(start, telemetry, machine);
    // A simulated node's is there at once, and its start takes no turn more than it needs.
    const given = made instanceof Promise ? await made : made;
    const slowed: NodeContext = {
      ...given,
      work: (us) => given.work(us * this.#slowness),
      policies: { ...given.policies, serverFilters: [this.#hang.filter, ...given.policies.serverFilters] },
      infrastructure: this.#remembering(given.infrastructure),
    };
    const context = start.tracing === undefined ? slowed : tracing(slowed, start.tracing);
    this.#context = context;
    this.#machine = machine;
    machine.watch();
    const { lagTickMs = 50 } = this.#options;
    if (lagTickMs > 0) this.#lag = new LagMeter(context.clock, context.telemetry, lagTickMs);
    const config = this.#program.parse(start.config);
    this.#service = await this.#program.start(context, config);
    this.#report("listening");
    this.#answer({ type: "listening", address: this.#service.address });
  }

  /** Keeps the registries that the program opens, so that their sessions can be ended. */
  #remembering(table: InfrastructureTable): InfrastructureTable {
    const registries = Object.entries(table.registries).map(([scheme, open]) => {
      const remember: OpenRegistry = async (connection) => {
        const registry = await open(connection);
        this.#registries.push(registry);
        return registry;
      };
      return [scheme, remember] as const;
    });
    return { ...table, registries: Object.fromEntries(registries) };
  }

  async #disturb(disturbance: Disturbance): Promise<Settle> {
    const service = this.#running();
    const own = disturbProcess(disturbance, {
      context: this.#context!,
      hang: this.#hang,
      registries: this.#registries,
    });
    const settle = (await own) ?? (await service.disturb?.(disturbance));
    if (settle !== undefined) return settle;
    throw new ConfigError(`${this.#program.name} can't be disturbed by ${disturbance.kind}`);
  }

  async #go(): Promise<void> {
    await this.#running().go();
    this.#report("ready");
    this.#answer({ type: "ready" });
  }

  async #stop(): Promise<void> {
    await this.#service?.stop();
    await this.#context?.spanExporter?.close(closeWithinMs);
    this.#reportSpans();
    this.#end({ type: "stopped" });
  }

  /** Gives the trace store what it hasn't got, and tells how that went. */
  async #sendSpans(): Promise<void> {
    await this.#context?.spanExporter?.flush(flushWithinMs);
    this.#reportSpans();
  }

  #reportSpans(): void {
    const { spanExporter, telemetry, clock } = this.#context ?? {};
    if (spanExporter === undefined) return;
    telemetry!.emit({ type: "span.export", atUs: clock!.nowUs(), ...spanExporter.counts });
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
    await this.#context?.spanExporter?.close(closeWithinMs);
  }

  #end(last: FromNode): void {
    if (this.#isOver) return;
    this.#report("stopped");
    this.#answer(last);
    this.#isOver = true;
    this.#lag?.stop();
    this.#machine?.stop();
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

/** The context with a tracer, whose spans go into the records and to the trace store, and which hears of changed rules. */
function tracing(context: NodeContext, { sample, run = "" }: Tracing): NodeContext {
  const { clock, node, random, spanExporter } = context;
  const tracer = new Tracer({
    clock,
    node,
    sample,
    // Nodes that are started by hand may share a seed; no two may share ids.
    random: random.fork(`trace ${run} ${node}`),
    onSpan: (span) => {
      context.telemetry.emit(span);
      spanExporter?.export(span);
    },
  });
  const telemetry: Telemetry = {
    emit: (event) => {
      if (event.type === "rule") tracer.note(noteOf(event));
      context.telemetry.emit(event);
    },
  };
  return { ...context, tracer, telemetry };
}

function noteOf({ atUs, key, version, outcome }: RuleChange): Note {
  const attributes = { "flyball.rule.key": key, "flyball.rule.version": version, "flyball.rule.outcome": outcome };
  return { atUs, name: "flyball.rule", attributes };
}
