import type { Call } from "../../runtime/call/call.ts";
import type { Handlers, Stub } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import { ConfigReader } from "../config.ts";
import { parseCalls, type CallsConfig } from "../connections.ts";
import { sample, type Distribution } from "../distribution.ts";
import { Offer, parseOffer, type OfferConfig } from "../offer.ts";
import { Worker, type DoReply } from "../proto/worker_pb.ts";
import type { NodeContext, RunningService, ServiceProgram } from "../service.ts";
import { WorkQueue } from "./queue.ts";

export interface ProviderConfig extends OfferConfig {
  /** How long one call's work takes. Default: no time. */
  readonly serviceTime: Distribution;
  /** Share of the calls that fail UNAVAILABLE once their work is done. Default 0. */
  readonly errorRate: number;
  /** Calls worked on at a time. Default: no limit. */
  readonly capacity: number | undefined;
  /** Calls that may wait. Default 1000. */
  readonly queueMax: number | undefined;
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
      errorRate: reader.number("errorRate", { min: 0, max: 1 }, 0),
      capacity: reader.number("capacity", { min: 1, isInteger: true }),
      queueMax: reader.number("queueMax", { min: 0, isInteger: true }),
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
    return this.#offer.listen((server) => server.add(Worker, this.#handlers()));
  }

  async go(): Promise<void> {
    const { calls } = this.#config;
    const { client } = await this.#offer.connect();
    if (calls !== undefined) {
      this.#downstream = client.service(calls.service, Worker, calls);
      await this.#offer.awaitCallees(calls.service);
    }
    await this.#offer.register();
  }

  drain(): Promise<void> {
    return this.#offer.drain();
  }

  stop(): Promise<void> {
    return this.#offer.stop();
  }

  #handlers(): Handlers<typeof Worker> {
    const context = this.#context;
    const { node, random, clock } = context;
    const { serviceTime, errorRate, capacity, queueMax } = this.#config;
    const queue = new WorkQueue({ capacity, queueMax });
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
        work = queue.run(call, async () => {
          await context.work(us);
          if (call.isCancelled) return;
          await downstream.do({ key }, { parent: call, metadata: call.metadata });
        });
      } else if (capacity !== undefined || us > 0) {
        work = queue.run(call, () => context.work(us));
      }
      if (!fails) return work;
      return work.then(() => {
        throw new RpcError(`${node} fails by its error rate`, { code: "UNAVAILABLE" });
      });
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
