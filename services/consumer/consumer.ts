import { create } from "@bufbuild/protobuf";

import { metadata, noMetadata, type Metadata } from "../../runtime/call/metadata.ts";
import type { Stub } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Random } from "../../runtime/ports/random.ts";
import { ConfigReader } from "../config.ts";
import {
  connect,
  parseCalls,
  parseInfrastructure,
  type CallsConfig,
  type Connections,
  type InfrastructureConfig,
} from "../connections.ts";
import type { Drive } from "../control.ts";
import { DoRequestSchema, Worker, type DoRequest } from "../proto/worker_pb.ts";
import { ConfigError, type NodeContext, type RunningService, type ServiceProgram } from "../service.ts";
import { openLoop, type OpenLoop } from "./open-loop.ts";

export interface ConsumerConfig extends InfrastructureConfig {
  readonly calls: CallsConfig;
  /** Each call carries, in the metadata key `name`, one of `count` values "u0", "u1", … Default none. */
  readonly key: { readonly name: string; readonly count: number } | undefined;
  /** The request tag (`dubbo.tag`) of every call. Default none. */
  readonly tag: string | undefined;
}

/** A program that calls: it makes the load, open loop. */
export const consumer: ServiceProgram<ConsumerConfig> = {
  name: "consumer",

  parse: (value) => {
    const reader = new ConfigReader(value);
    const calls = reader.object("calls");
    if (calls === undefined) throw new ConfigError("calls is missing", "a consumer calls a service");
    const key = reader.object("key");
    const config: ConsumerConfig = {
      calls: parseCalls(calls),
      key: key && {
        name: key.requiredText("name"),
        count: key.number("count", { min: 1, max: 0x100000000, isInteger: true }, 1000),
      },
      tag: reader.text("tag"),
      ...parseInfrastructure(reader),
    };
    key?.end();
    reader.end();
    return config;
  },

  start: async (context, config) => new RunningConsumer(context, config),
};

/** Time that the first instance has to appear. */
const readyWithinMs = 10_000;

class RunningConsumer implements RunningService {
  readonly address = undefined;
  readonly #context: NodeContext;
  readonly #config: ConsumerConfig;
  /** Keys of the warm-up come from a stream of their own: the load's are the same however long a world warms up. */
  readonly #requests: { readonly load: Requests; readonly warmUp: Requests };
  readonly #loops = new Set<OpenLoop>();
  #connections: Connections | undefined;
  #stub: Stub<typeof Worker> | undefined;

  constructor(context: NodeContext, config: ConsumerConfig) {
    this.#context = context;
    this.#config = config;
    this.#requests = {
      load: new Requests(config, context.random.fork("keys")),
      warmUp: new Requests(config, context.random.fork("warm-up keys")),
    };
  }

  async go(): Promise<void> {
    const { calls } = this.#config;
    const connections = await connect(this.#context, this.#config);
    this.#connections = connections;
    this.#stub = connections.client.service(calls.service, Worker, calls);
    await connections.client.ready(calls.service, readyWithinMs);
  }

  async drive({ startUs, dueUs, isWarmUp }: Drive): Promise<void> {
    const stub = this.#stub;
    if (stub === undefined)
      throw new RpcError("a consumer is driven after it got ready", { code: "FAILED_PRECONDITION" });
    const requests = isWarmUp ? this.#requests.warmUp : this.#requests.load;
    const loop = openLoop(this.#context.clock, startUs, dueUs, (due) => {
      const { request, metadata } = requests.next();
      return stub.do(request, { metadata, dueUs: due });
    });
    this.#loops.add(loop);
    await loop.ended;
    this.#loops.delete(loop);
  }

  async drain(): Promise<void> {
    const loops = [...this.#loops];
    for (const loop of loops) loop.stop();
    await Promise.all(loops.map(({ ended }) => ended));
  }

  async stop(): Promise<void> {
    for (const loop of this.#loops) loop.stop();
    await this.#connections?.closeClient();
    await this.#connections?.registry.close();
  }
}

interface Prepared {
  readonly request: DoRequest;
  readonly metadata: Metadata;
}

/** The requests of a consumer, made once for each key. */
class Requests {
  readonly #config: ConsumerConfig;
  readonly #random: Random;
  readonly #prepared = new Map<number, Prepared>();

  constructor(config: ConsumerConfig, random: Random) {
    this.#config = config;
    this.#random = random;
  }

  next(): Prepared {
    const { key } = this.#config;
    const number = key === undefined ? 0 : this.#random.below(key.count);
    let prepared = this.#prepared.get(number);
    if (prepared === undefined) {
      prepared = this.#prepare(key === undefined ? undefined : `u${number}`);
      if (this.#prepared.size < 100_000) this.#prepared.set(number, prepared);
    }
    return prepared;
  }

  #prepare(value: string | undefined): Prepared {
    const { key, tag } = this.#config;
    const entries: Record<string, string> = {};
    if (key !== undefined && value !== undefined) entries[key.name] = value;
    if (tag !== undefined) entries["dubbo.tag"] = tag;
    return {
      request: create(DoRequestSchema, { key: value ?? "" }),
      metadata: key === undefined && tag === undefined ? noMetadata : metadata(entries),
    };
  }
}
