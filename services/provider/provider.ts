import { reportsLoad } from "../../runtime/balancing/reports/reporter.ts";
import { Call, whileWaiting } from "../../runtime/call/call.ts";
import type { Filter } from "../../runtime/call/filter.ts";
import type { Server } from "../../runtime/call/server.ts";
import type { Handlers, Stub } from "../../runtime/call/service.ts";
import { pushbackKey } from "../../runtime/call/metadata.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import { reporter } from "../../runtime/protection/guard.ts";
import type { AdmissionSettings } from "../../runtime/protection/table.ts";
import { withoutCredentials } from "../../runtime/security/signature.ts";
import { TaskLog } from "../../runtime/telemetry/task-log.ts";
import { ConfigReader } from "../config.ts";
import { parseCalls, type CallsConfig } from "../connections.ts";
import { sample, type Distribution } from "../distribution.ts";
import type { Disturbance, Settle } from "../disturbance.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { parseAdmission } from "../protection.ts";
import { Worker, type DoReply } from "../proto/worker_pb.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
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

  constructor(context: NodeContext, config: ProviderConfig) {
    this.#context = context;
    this.#config = config;
    this.#offer = new Offer(context, config);
  }

  get address(): string | undefined {
    return this.#offer.address;
  }

  listen(): Promise<void> {
    const { clock, telemetry } = this.#context;
    const tasks = this.#config.recordsTasks ? new TaskLog({ clock, telemetry }) : undefined;
    const add = (server: Server): Server => server.add(Worker, this.#handlers());
    return this.#offer.listen(add, { filters: this.#admission(), tasks });
  }

  async go(): Promise<void> {
    const { calls } = this.#config;
    const { client } = await this.#offer.connect();
    if (calls !== undefined) {
      this.#downstream = client.service(calls.service, Worker, calls);
      await this.#offer.awaitCallees(calls.service);
    }
    await this.#offer.register(Worker.typeName);
  }

  disturb(disturbance: Disturbance): Promise<Settle> | undefined {
    return this.#offer.disturb(disturbance);
  }

  drain(): Promise<void> {
    return this.#offer.drain();
  }

  stop(): Promise<void> {
    return this.#offer.stop();
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
    const isInstant = serviceTime.kind === "constant" && serviceTime.us === 0;

    const work = (us: number): Promise<void> => context.work(Math.round(us * (1 + contention * (queue.running - 1))));

    /** Everything that chance decides about a call is drawn when it arrives: the order of draws is that of arrivals. */
    const serve = (key: string, call: Call): Promise<unknown> => {
      const us = isInstant ? 0 : sample(serviceTime, times);
      const fails = errorRate > 0 && errors.float() < errorRate;
      const downstream = this.#downstream;
      let served: Promise<unknown> = done;
      if (downstream !== undefined) {
        served = inQueue(call, async () => {
          await work(us);
          if (call.isCancelled) return;
          await downstream.do({ key }, { parent: call, metadata: withoutCredentials(call.metadata) });
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
      do: ({ key, payload }, call) => serve(key, call).then(() => ({ instance: node, payload })),
      async *stream({ key, count, intervalMs }, call): AsyncGenerator<Pick<DoReply, "instance" | "payload">> {
        if (count > 100_000) throw new RpcError(`${count} replies, at most 100000`, { code: "INVALID_ARGUMENT" });
        await serve(key, call);
        for (let index = 0; index < count && !call.isCancelled; index++) {
          if (index > 0 && intervalMs > 0) await clock.sleep(intervalMs * 1000, call.signal);
          yield { instance: node, payload: String(index) };
        }
      },
    };
  }
}

const done = Promise.resolve();

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
