import { Call, whileWaiting } from "../../runtime/call/call.ts";
import { createLifecycle, type Lifecycle } from "../../runtime/call/lifecycle.ts";
import type { Filter } from "../../runtime/call/filter.ts";
import { createServer } from "../../runtime/call/server.ts";
import type { Handlers, Stub } from "../../runtime/call/service.ts";
import { pushbackKey } from "../../runtime/call/metadata.ts";
import { RpcError, toRpcError } from "../../runtime/call/status.ts";
import { reporter } from "../../runtime/protection/guard.ts";
import type { AdmissionSettings } from "../../runtime/protection/table.ts";
import { Health } from "../../runtime/health/health.ts";
import type { Registration } from "../../runtime/ports/registry.ts";
import type { Listener, Transport } from "../../runtime/ports/transport.ts";
import { protocolLabel, protocolNames, type ProtocolName } from "../../runtime/protocols/names.ts";
import { TaskLog } from "../../runtime/telemetry/task-log.ts";
import { guard, type GuardSettings } from "../../runtime/security/guard.ts";
import { withoutCredentials } from "../../runtime/security/signature.ts";
import { advertised, ConfigReader, schemeOf } from "../config.ts";
import {
  connect,
  parseCalls,
  parseInfrastructure,
  type CallsConfig,
  type Connections,
  type InfrastructureConfig,
} from "../connections.ts";
import { sample, type Distribution } from "../distribution.ts";
import { parseGuard } from "../guard.ts";
import { parseAdmission } from "../protection.ts";
import { Worker, type DoReply } from "../proto/worker_pb.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
import { queueOrders, WorkQueue, type WorkQueueOptions } from "./queue.ts";

export interface ProviderConfig extends InfrastructureConfig {
  /** The service that it provides: "orders". */
  readonly service: string;
  /** What it speaks. Default "triple". */
  readonly protocol: ProtocolName;
  /** Default 100. */
  readonly weight: number;
  /** Time that it takes to be warm, which callers count from its registration: see docs/balancing.md. Default: it is warm at once. */
  readonly warmUpMs: number | undefined;
  /** Its labels in the registry. Default none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long one call's work takes. Default: no time. */
  readonly serviceTime: Distribution;
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
  /** Whom it lets in. Default: everybody. */
  readonly guard: GuardSettings | undefined;
  /** Reports what it does with each call. Default false. */
  readonly recordsTasks: boolean;
  /** A service that each call calls before it is answered. Default none. */
  readonly calls: CallsConfig | undefined;
  /** How long it serves on after it has deregistered. Default: `propagationMsOf` its registry. */
  readonly propagationMs: number;
  /** Default 2000. */
  readonly graceMs: number;
}

/** A program that does work: the fleet's workhorse. */
export const provider: ServiceProgram<ProviderConfig> = {
  name: "provider",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const service = reader.requiredText("service");
    const calls = reader.object("calls");
    const time = { min: 0, max: 3_600_000 };
    const infrastructure = parseInfrastructure(reader, service);
    const config: ProviderConfig = {
      service,
      protocol: reader.choice("protocol", Object.keys(protocolNames) as ProtocolName[]) ?? "triple",
      weight: reader.number("weight", { min: 0, max: 1_000_000, isInteger: true }, 100),
      warmUpMs: reader.number("warmUpMs", { min: 1, max: 86_400_000, isInteger: true }),
      metadata: reader.labels("metadata"),
      serviceTime: reader.distribution("serviceTime", { kind: "constant", us: 0 }),
      errorRate: reader.number("errorRate", { min: 0, max: 1 }, 0),
      capacity: reader.number("capacity", { min: 1, isInteger: true }),
      queueMax: reader.number("queueMax", { min: 0, isInteger: true }),
      pushbackMs: reader.number("pushbackMs", { min: -1, max: 3_600_000, isInteger: true }),
      servesAbandoned: reader.boolean("servesAbandoned") ?? false,
      queue: parseQueue(reader.object("queue")),
      guard: parseGuard(reader.object("guard")),
      admission: parseAdmission(reader),
      recordsTasks: reader.raw("recordsTasks") === true,
      calls: calls === undefined ? undefined : parseCalls(calls),
      graceMs: reader.number("graceMs", time, 2000),
      ...infrastructure,
      propagationMs: reader.number("propagationMs", time, propagationMsOf(schemeOf(infrastructure.registry))),
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

/**
 * Time that the news of a departure takes to reach every caller, with room to spare: over Nacos, which gathers pushes for 500 ms, about
 * 0.6 s (measured; a busy server takes longer); over the others some milliseconds.
 */
export function propagationMsOf(registry: string | undefined): number {
  return registry === "nacos" ? 1_500 : 500;
}

/** Time that the service which it calls has to appear. */
const downstreamWithinMs = 5_000;
/** Time that the registry has to confirm before the provider is ready without: it serves, and goes on trying to register. */
const registerWithinUs = 5_000_000;

class RunningProvider implements RunningService {
  readonly #context: NodeContext;
  readonly #config: ProviderConfig;
  #listener: Listener | undefined;
  /** Where others find it. */
  #advertised = "";
  #connections: Connections | undefined;
  #registration: Registration | undefined;
  #lifecycle: Lifecycle | undefined;
  #downstream: Stub<typeof Worker> | undefined;
  readonly #health = new Health();
  #isLeaving = false;

  constructor(context: NodeContext, config: ProviderConfig) {
    this.#context = context;
    this.#config = config;
  }

  get address(): string | undefined {
    return this.#listener?.address;
  }

  async listen(): Promise<void> {
    const { policies, listen, advertise, tracer, clock, telemetry } = this.#context;
    const { guard: whom, service } = this.#config;
    const guarded = whom === undefined ? [] : [guard(whom, service)];
    const filters = [...policies.serverFilters, ...guarded, ...this.#admission()];
    const tasks = this.#config.recordsTasks ? new TaskLog({ clock, telemetry }) : undefined;
    const transport = this.#transport();
    const server = createServer({ transport, filters, tracer, tasks, health: this.#health });
    server.add(Worker, this.#handlers());
    const listener = await server.listen(listen);
    try {
      this.#advertised = advertised(listener.address, advertise);
    } catch (error) {
      await listener.close();
      throw error;
    }
    this.#listener = listener;
  }

  #transport(): Transport {
    const { transport, transports } = this.#context;
    return transports?.[protocolNames[this.#config.protocol]] ?? transport;
  }

  async go(): Promise<void> {
    const { node, clock, telemetry } = this.#context;
    const { service, protocol, weight, warmUpMs, metadata: labels, calls, propagationMs, graceMs } = this.#config;
    const token = this.#config.guard?.token;
    const isTriple = protocol === "triple";
    const listener = this.#listener!;
    // Dubbo's own keys.
    const metadata = {
      ...labels,
      ...(warmUpMs !== undefined && { warmup: String(warmUpMs), timestamp: String(Math.floor(clock.wallMs())) }),
      ...(!isTriple && { [protocolLabel]: protocolNames[protocol] }),
      ...(token !== undefined && { token }),
    };
    const connections = await connect(this.#context, this.#config, labels);
    this.#connections = connections;
    this.#lifecycle = createLifecycle({
      clock,
      telemetry,
      listener,
      registry: connections.registry,
      health: this.#health,
      registrations: () => (this.#registration === undefined ? [] : [this.#registration]),
      propagationMs,
      graceMs,
    });
    if (calls !== undefined) {
      this.#downstream = connections.client.service(calls.service, Worker, calls);
      // Better that whom it calls is known before it can be called, but that is no reason never to serve.
      await connections.client.ready(calls.service, downstreamWithinMs).catch(() => undefined);
    }
    this.#health.set(true, [Worker.typeName, service]);
    const registered = connections.registry
      .register({ id: node, service, address: this.#advertised, weight, metadata })
      .then(async (registration) => {
        this.#registration = registration;
        // Too late: it is leaving already.
        if (this.#isLeaving) await registration.deregister();
      })
      .catch((error: unknown) => {
        if (!this.#isLeaving) throw error;
      });
    await new Promise<void>((resolve, reject) => {
      const disarm = clock.after(registerWithinUs, resolve);
      registered.then(resolve, reject).finally(disarm);
    });
  }

  async drain(): Promise<void> {
    this.#isLeaving = true;
    if (this.#lifecycle === undefined) await this.#listener?.close();
    await this.#lifecycle?.drain();
    await this.#connections?.closeClient();
  }

  async stop(): Promise<void> {
    this.#isLeaving = true;
    await this.#connections?.closeClient();
    if (this.#lifecycle === undefined) await this.#listener?.close();
    await this.#lifecycle?.stop();
  }

  #admission(): readonly Filter[] {
    const { clock, random, telemetry, policies } = this.#context;
    const { service, admission } = this.#config;
    const { rateLimit, concurrencyLimit } = admission;
    const ports = { clock, random: random.fork("admission"), report: reporter({ clock, telemetry, service }) };
    return [
      ...(rateLimit === undefined ? [] : [policies.admissions.rateLimit(rateLimit, ports)]),
      ...(concurrencyLimit === undefined ? [] : [policies.admissions.concurrencyLimit(concurrencyLimit, ports)]),
    ];
  }

  #handlers(): Handlers<typeof Worker> {
    const context = this.#context;
    const { node, random, clock } = context;
    const { serviceTime, errorRate, capacity, queueMax, queue: how, servesAbandoned, pushbackMs } = this.#config;
    const queue = new WorkQueue({ capacity, queueMax, ...how });
    const inQueue = servesAbandoned ? abandonedToo(queue) : queue.run.bind(queue);
    const times = random.fork("service time");
    const errors = random.fork("errors");
    const isInstant = serviceTime.kind === "constant" && serviceTime.us === 0;

    /** Everything that chance decides about a call is drawn when it arrives: the order of draws is that of arrivals. */
    const serve = (key: string, call: Call): Promise<unknown> => {
      const us = isInstant ? 0 : sample(serviceTime, times);
      const fails = errorRate > 0 && errors.float() < errorRate;
      const downstream = this.#downstream;
      let work: Promise<unknown> = done;
      if (downstream !== undefined) {
        work = inQueue(call, async () => {
          await context.work(us);
          if (call.isCancelled) return;
          await downstream.do({ key }, { parent: call, metadata: withoutCredentials(call.metadata) });
        });
      } else if (capacity !== undefined || us > 0) {
        work = inQueue(call, () => context.work(us));
      }
      if (fails) {
        work = work.then(() => {
          throw new RpcError(`${node} fails by its error rate`, { code: "UNAVAILABLE" });
        });
      }
      return pushbackMs === undefined ? work : work.catch((error: unknown) => pushBack(toRpcError(error), pushbackMs));
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
