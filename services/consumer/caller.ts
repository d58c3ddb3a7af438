import { create } from "@bufbuild/protobuf";

import { Call } from "../../runtime/call/call.ts";
import { metadata, noMetadata, type Metadata } from "../../runtime/call/metadata.ts";
import type { Stub } from "../../runtime/call/service.ts";
import { RpcError } from "../../runtime/call/status.ts";
import type { Random } from "../../runtime/ports/random.ts";
import type { ConfigReader } from "../config.ts";
import {
  connect,
  parseCalls,
  parseInfrastructure,
  type CallsConfig,
  type Connections,
  type InfrastructureConfig,
} from "../connections.ts";
import { sample, type Distribution } from "../distribution.ts";
import type { Drive } from "../control.ts";
import { DoRequestSchema, Worker, type DoReply, type DoRequest } from "../proto/worker_pb.ts";
import { ConfigError, type NodeContext } from "../service.ts";
import { openLoop, type OpenLoop } from "./open-loop.ts";

/** Whom a program calls, and what its calls carry. */
export interface CallerConfig extends InfrastructureConfig {
  readonly calls: CallsConfig;
  /** Each call carries, in the metadata key `name`, one of `count` values "u0", "u1", … Default none. */
  readonly key: { readonly name: string; readonly count: number } | undefined;
  /** The request tag (`dubbo.tag`) of every call. Default none. */
  readonly tag: string | undefined;
  /** How long its users wait before they leave: the call is cancelled then. Default: as long as it takes. */
  readonly patience: Distribution | undefined;
  /** What it says of itself to rules: zone, region, env, … Default none. */
  readonly labels: Readonly<Record<string, string>>;
  /** What every call carries beside key and tag. Default nothing. */
  readonly metadata: Readonly<Record<string, string>>;
}

export function parseCaller(reader: ConfigReader): CallerConfig {
  const calls = reader.object("calls");
  if (calls === undefined) throw new ConfigError("calls is missing", "say which service it calls");
  const key = reader.object("key");
  const config: CallerConfig = {
    calls: parseCalls(calls),
    key: key && {
      name: key.requiredText("name"),
      count: key.number("count", { min: 1, max: 0x100000000, isInteger: true }, 1000),
    },
    tag: reader.text("tag"),
    patience:
      reader.raw("patience") === undefined ? undefined : reader.distribution("patience", { kind: "constant", us: 0 }),
    labels: reader.labels("labels"),
    metadata: reader.labels("metadata"),
    ...parseInfrastructure(reader),
  };
  key?.end();
  return config;
}

/** What one call says for itself; what it leaves out is as in the load. */
export interface CallInput {
  readonly key?: string | undefined;
  readonly payload?: string | undefined;
  /** On top of the configuration's. */
  readonly metadata?: Metadata | undefined;
  readonly parent?: Call | undefined;
  readonly dueUs?: number | undefined;
}

/** Time that the first instance has to appear. */
const readyWithinMs = 10_000;

/** Makes calls of one service: those of a load, open loop, and single ones. */
export class Caller {
  readonly #context: NodeContext;
  readonly #config: CallerConfig;
  /** Keys of the warm-up come from a stream of their own: the load's are the same however long a world warms up. */
  readonly #requests: { readonly load: Requests; readonly warmUp: Requests };
  readonly #patience: Random;
  readonly #loops = new Set<OpenLoop>();
  #connections: Connections | undefined;
  #stub: Stub<typeof Worker> | undefined;
  #isReady = false;

  constructor(context: NodeContext, config: CallerConfig) {
    this.#context = context;
    this.#config = config;
    this.#patience = context.random.fork("patience");
    this.#requests = {
      load: new Requests(config, context.random.fork("keys")),
      warmUp: new Requests(config, context.random.fork("warm-up keys")),
    };
  }

  /** Whom it calls is known. */
  get isReady(): boolean {
    return this.#isReady;
  }

  async go(): Promise<void> {
    const { calls } = this.#config;
    const connections = await connect(this.#context, this.#config, this.#config.labels);
    this.#connections = connections;
    this.#stub = connections.client.service(calls.service, Worker, calls);
    await connections.client.ready(calls.service, readyWithinMs);
    this.#isReady = true;
  }

  /** One call; without a key of its own it carries the load's next one. Rejects with an `RpcError`. */
  async call({ key, payload, metadata: more, parent, dueUs }: CallInput): Promise<DoReply> {
    const stub = this.#ready();
    const prepared = key === undefined ? this.#requests.load.next() : this.#requests.load.of(key);
    const request = payload === undefined ? prepared.request : { key: prepared.request.key, payload };
    const isMore = more !== undefined && more.size > 0;
    const metadata = isMore ? new Map([...prepared.metadata, ...more]) : prepared.metadata;
    return stub.do(request, { metadata, parent, dueUs });
  }

  async drive({ startUs, dueUs, isWarmUp }: Drive): Promise<void> {
    const stub = this.#ready();
    const requests = isWarmUp ? this.#requests.warmUp : this.#requests.load;
    const loop = openLoop(this.#context.clock, startUs, dueUs, (due) => {
      const { request, metadata } = requests.next();
      return this.#waitFor((parent) => stub.do(request, { metadata, dueUs: due, parent }));
    });
    this.#loops.add(loop);
    await loop.ended;
    this.#loops.delete(loop);
  }

  /** Makes a call as somebody who leaves when it takes too long. */
  #waitFor<T>(make: (parent: Call | undefined) => Promise<T>): Promise<T> {
    const { patience } = this.#config;
    if (patience === undefined) return make(undefined);
    const { clock } = this.#context;
    const user = new Call({ clock, service: "", method: "" });
    const disarm = clock.after(sample(patience, this.#patience), () =>
      user.cancel(new RpcError("the user left", { code: "CANCELLED" })),
    );
    return make(user).finally(() => {
      disarm();
      user.end();
    });
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

  #ready(): Stub<typeof Worker> {
    if (this.#stub !== undefined) return this.#stub;
    throw new RpcError("calls are made after it got ready", { code: "FAILED_PRECONDITION" });
  }
}

interface Prepared {
  readonly request: DoRequest;
  readonly metadata: Metadata;
}

/** The requests of a caller, made once for each key. */
class Requests {
  readonly #config: CallerConfig;
  readonly #random: Random;
  readonly #prepared = new Map<number, Prepared>();

  constructor(config: CallerConfig, random: Random) {
    this.#config = config;
    this.#random = random;
  }

  next(): Prepared {
    const { key } = this.#config;
    const number = key === undefined ? 0 : this.#random.below(key.count);
    let prepared = this.#prepared.get(number);
    if (prepared === undefined) {
      prepared = this.of(key === undefined ? undefined : `u${number}`);
      if (this.#prepared.size < 100_000) this.#prepared.set(number, prepared);
    }
    return prepared;
  }

  of(value: string | undefined): Prepared {
    const { key, tag, metadata: own } = this.#config;
    const entries: Record<string, string> = { ...own };
    if (key !== undefined && value !== undefined) entries[key.name] = value;
    if (tag !== undefined) entries["dubbo.tag"] = tag;
    return {
      request: create(DoRequestSchema, { key: value ?? "" }),
      metadata: Object.keys(entries).length === 0 ? noMetadata : metadata(entries),
    };
  }
}
