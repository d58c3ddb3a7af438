import { reportsLoad } from "../../runtime/balancing/reports/reporter.ts";
import { Call, whileWaiting } from "../../runtime/call/call.ts";
import type { Filter } from "../../runtime/call/filter.ts";
import type { Server } from "../../runtime/call/server.ts";
import type { Handlers, Stub, StubOptions } from "../../runtime/call/service.ts";
import { pushbackKey } from "../../runtime/call/metadata.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import { reporter } from "../../runtime/protection/guard.ts";
import type { AdmissionSettings } from "../../runtime/protection/table.ts";
import { passedOn } from "../../runtime/security/signature.ts";
import { TaskLog } from "../../runtime/telemetry/task-log.ts";
import { ConfigReader, nested } from "../config.ts";
import { parseCalls, type CallsConfig } from "../connections.ts";
import { sample, type Distribution } from "../distribution.ts";
import type { Disturbance, Settle } from "../disturbance.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { parseAdmission } from "../protection.ts";
import type { OwnReply, StartedService } from "../own.ts";
import { Worker, type DoReply, type DoRequest } from "../proto/worker_pb.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
import { startOwn, type OwnConfig } from "./own.ts";
import { queueOrders, WorkQueue, type WorkQueueOptions } from "./queue.ts";

export interface ProviderConfig extends OfferConfig {
  /** How long one call's work takes. Default: no time. */
  readonly serviceTime: Distribution;
  /** How much longer a call's work takes, as a part of its own time, for each other that is worked on when it begins. Default 0. */
  readonly contention: number;
  /** Share of the calls that fail UNAVAILABLE once their work is done. Default 0. */
  readonly errorRate: number;
  /** Calls worked on at a time. Default: no limit. */
  readonly capacity: number | undefined;
  /** Calls that may wait. Default 1000. */
  readonly queueMax: number | undefined;
  /** How a call that is refused or fails says when to be tried again, in milliseconds; -1: never. Default: it doesn't say. */
  readonly pushbackMs: number | undefined;
  /** Work goes on for callers that have given up. Default false. */
  readonly servesAbandoned: boolean;
  /** How those wait. Default: first come, first served. */
  readonly queue: Pick<WorkQueueOptions, "order" | "codel">;
  /** What is let in at all. Default: everything. */
  readonly admission: AdmissionSettings;
  /** Says with every answer how busy it is (ORCA). Default false. */
  readonly reportsLoad: boolean;
  /** Reports what it does with each call. Default false. */
  readonly recordsTasks: boolean;
  /** A service that each call calls before it is answered. Default none. */
  readonly calls: CallsConfig | undefined;
  /** Further ones, which `own` may call. Default none. */
  readonly alsoCalls: readonly CallsConfig[];
  /** Does the work, in place of the program itself. Default: none. */
  readonly own: OwnConfig | undefined;
}

/** A program that does work: the fleet's workhorse. */
export const provider: ServiceProgram<ProviderConfig> = {
  name: "provider",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const calls = reader.object("calls");
    const config: ProviderConfig = {
      ...parseOffer(reader),
      serviceTime: reader.distribution("serviceTime", { kind: "constant", us: 0 }),
      contention: reader.number("contention", { min: 0, max: 1 }, 0),
      errorRate: reader.number("errorRate", { min: 0, max: 1 }, 0),
      capacity: reader.number("capacity", { min: 1, isInteger: true }),
      queueMax: reader.number("queueMax", { min: 0, isInteger: true }),
      pushbackMs: reader.number("pushbackMs", { min: -1, max: 3_600_000, isInteger: true }),
      servesAbandoned: reader.boolean("servesAbandoned") ?? false,
      queue: parseQueue(reader.object("queue")),
      admission: parseAdmission(reader),
      reportsLoad: reader.boolean("reportsLoad") ?? false,
      recordsTasks: reader.raw("recordsTasks") === true,
      calls: calls === undefined ? undefined : parseCalls(calls),
      alsoCalls: reader.objects("alsoCalls").map(parseCalls),
      own: nested(reader, "own", (own) => ({
        file: own.requiredText("file"),
        config: (own.raw("config") ?? {}) as OwnConfig["config"],
      })),
    };
    reader.end();
    return config;
  },

  start: async (context, config) => {
    const running = new RunningProvider(context, config);
    await running.listen();
    return running;
  },
};

function parseQueue(reader: ConfigReader | undefined): ProviderConfig["queue"] {
  if (reader === undefined) return {};
  const codel = reader.object("codel");
  const time = { min: 0.001, max: 3_600_000 };
  const queue = {
    order: reader.choice("order", queueOrders),
    codel: codel && { targetMs: codel.number("targetMs", time), intervalMs: codel.number("intervalMs", time) },
  };
  codel?.end();
  reader.end();
  return queue;
}

class RunningProvider implements RunningService {
  readonly #context: NodeContext;
  readonly #config: ProviderConfig;
  readonly #offer: Offer;
  #downstream: Stub<typeof Worker> | undefined;
  /** By name, everybody whom it calls. */
  readonly #callees = new Map<string, Stub<typeof Worker>>();
  #own: StartedService | undefined;

  constructor(context: NodeContext, config: ProviderConfig) {
    this.#context = context;
    this.#config = config;
    this.#offer = new Offer(context, config);
  }

  get address(): string | undefined {
    return this.#offer.address;
  }

  async listen(): Promise<void> {
    const { clock, telemetry } = this.#context;
    if (this.#config.own !== undefined) this.#own = await this.#startOwn(this.#config.own);
    const tasks = this.#config.recordsTasks ? new TaskLog({ clock, telemetry }) : undefined;
    const add = (server: Server): Server => server.add(Worker, this.#handlers());
    await this.#offer.listen(add, { filters: this.#admission(), tasks });
  }

  async go(): Promise<void> {
    const { client } = await this.#offer.connect();
    for (const calls of this.#calls) this.#callees.set(calls.service, client.service(calls.service, Worker, calls));
    this.#downstream = this.#callees.get(this.#config.calls?.service ?? "");
    if (this.#calls.length > 0) await this.#offer.awaitCallees(...this.#calls.map(({ service }) => service));
    await this.#offer.register(Worker.typeName);
  }

  disturb(disturbance: Disturbance): Promise<Settle> | undefined {
    return this.#offer.disturb(disturbance);
  }

  drain(): Promise<void> {
    return this.#offer.drain();
  }

  async stop(): Promise<void> {
    await this.#offer.stop();
    await this.#own?.stop?.();
  }

  get #calls(): readonly CallsConfig[] {
    const { calls, alsoCalls } = this.#config;
    return calls === undefined ? alsoCalls : [calls, ...alsoCalls];
  }

  #startOwn(own: OwnConfig): Promise<StartedService> {
    const { node, clock, random, disk } = this.#context;
    const work = (us: number): Promise<void> => this.#context.work(us);
    const callee = (service: string): Stub<typeof Worker> => {
      const names = this.#calls.map((each) => each.service);
      if (!names.includes(service)) {
        const hint = names.length === 0 ? "say in the fleet whom it `calls`" : `it calls ${names.join(", ")}`;
        throw new RpcError(`${node} doesn't call ${service}: ${hint}`, { code: "FAILED_PRECONDITION", hint });
      }
      const stub = (): Stub<typeof Worker> => {
        const found = this.#callees.get(service);
        if (found !== undefined) return found;
        throw new RpcError(`${node} isn't connected yet`, { code: "UNAVAILABLE", hint: "call it when you are called" });
      };
      // What came with a call goes on with those that are made for it, as in a service that isn't one's own.
      const inTurn = (options: StubOptions = {}): StubOptions => ({
        ...(options.parent !== undefined && { metadata: passedOn(options.parent.metadata) }),
        ...options,
      });
      return {
        do: (request, options) => stub().do(request, inTurn(options)),
        stream: (request, options) => stub().stream(request, inTurn(options)),
      };
    };
    return startOwn(own, { node, clock, random: random.fork("own"), disk, work, callee }, this.#context);
  }

  #admission(): readonly Filter[] {
    const { clock, random, telemetry, policies } = this.#context;
    const { service, admission, capacity } = this.#config;
    const { rateLimit, concurrencyLimit } = admission;
    const ports = { clock, random: random.fork("admission"), report: reporter({ clock, telemetry, service }) };
    return [
      ...(this.#config.reportsLoad ? [reportsLoad({ clock, capacity })] : []),
      ...(rateLimit === undefined ? [] : [policies.admissions.rateLimit(rateLimit, ports)]),
      ...(concurrencyLimit === undefined ? [] : [policies.admissions.concurrencyLimit(concurrencyLimit, ports)]),
    ];
  }

  #handlers(): Handlers<typeof Worker> {
    const context = this.#context;
    const { node, random, clock } = context;
    const { serviceTime, contention, errorRate, capacity, queueMax, servesAbandoned, pushbackMs } = this.#config;
    const queue = new WorkQueue({ capacity, queueMax, ...this.#config.queue });
    const inQueue = servesAbandoned ? abandonedToo(queue) : queue.run.bind(queue);
    const times = random.fork("service time");
    const errors = random.fork("errors");
    const own = this.#own;
    const isInstant = serviceTime.kind === "constant" && serviceTime.us === 0;

    const work = (us: number): Promise<void> => context.work(Math.round(us * (1 + contention * (queue.running - 1))));

    /** Everything that chance decides about a call is drawn when it arrives: the order of draws is that of arrivals. */
    const serve = (request: Pick<DoRequest, "key" | "payload">, call: Call): Promise<unknown> => {
      const us = isInstant ? 0 : sample(serviceTime, times);
      const fails = errorRate > 0 && errors.float() < errorRate;
      const downstream = this.#downstream;
      let served: Promise<unknown> = done;
      if (own !== undefined) {
        served = inQueue(call, async () => own.do(request, call));
      } else if (downstream !== undefined) {
        served = inQueue(call, async () => {
          await work(us);
          if (call.isCancelled) return;
          await downstream.do({ key: request.key }, { parent: call, metadata: passedOn(call.metadata) });
        });
      } else if (capacity !== undefined || us > 0) {
        served = inQueue(call, () => work(us));
      }
      if (fails) {
        served = served.then(() => {
          throw new RpcError(`${node} fails by its error rate`, { code: "UNAVAILABLE" });
        });
      }
      return pushbackMs === undefined
        ? served
        : served.catch((error: unknown) => pushBack(toRpcError(error), pushbackMs));
    };
    return {
      do: (request, call) =>
        serve(request, call).then((reply) => ({
          instance: node,
          payload: own === undefined ? request.payload : payloadOf(reply),
        })),
      async *stream({ key, count, intervalMs }, call): AsyncGenerator<Pick<DoReply, "instance" | "payload">> {
        if (own !== undefined) throw new RpcError(`${node} answers one by one`, { code: "UNIMPLEMENTED" });
        if (count > 100_000) throw new RpcError(`${count} replies, at most 100000`, { code: "INVALID_ARGUMENT" });
        await serve({ key, payload: "" }, call);
        for (let index = 0; index < count && !call.isCancelled; index++) {
          if (index > 0 && intervalMs > 0) await clock.sleep(intervalMs * 1000, call.signal);
          yield { instance: node, payload: String(index) };
        }
      },
    };
  }
}

const done = Promise.resolve();

/** What a service of the user's own answered: whatever it is. */
function payloadOf(reply: unknown): string {
  if (typeof reply !== "object" || reply === null) {
    const hint = 'return an object, { payload: "…" } or {}';
    throw new RpcError(`do() answers ${String(reply)}, and no object`, { code: "INTERNAL", hint });
  }
  const payload = (reply as OwnReply).payload ?? "";
  if (typeof payload === "string") return payload;
  throw new RpcError(`a payload is a text, and not ${typeof payload}`, { code: "INTERNAL" });
}

/** Work that goes on for callers that have given up: what the queue sees of a call has no deadline, and nobody cancels it. */
function abandonedToo(queue: WorkQueue): WorkQueue["run"] {
  return (call, work) => {
    const { clock, service, method } = call;
    const lasting = new Call({ clock, service, method });
    return whileWaiting(call, queue.run(lasting, work)).finally(() => {
      call.workUs ??= lasting.workUs;
    });
  };
}

/** The same failure, saying when to try again; what was cancelled nobody hears. */
function pushBack(error: RpcError, pushbackMs: number): never {
  const { message, code, hint, cause } = error;
  if (code !== "UNAVAILABLE" && code !== "RESOURCE_EXHAUSTED") throw error;
  throw new RpcError(message, { code, hint, cause, trailers: new Map([[pushbackKey, String(pushbackMs)]]) });
}
